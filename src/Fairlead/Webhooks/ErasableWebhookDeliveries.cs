using System.Data.Common;
using System.Text.Json;
using Fairlead.Erasure;
using Fairlead.Storage;

namespace Fairlead.Webhooks;

/// <summary>
/// Webhook deliveries in erasures: those about selected generations, and about the batches of a selected key or project. One that was not
/// sent yet is not sent. Thread-safe.
/// </summary>
internal sealed class ErasableWebhookDeliveries(IStorage storage) : IErasable
{
    private const int Portion = 200;

    public string Name => "webhook_deliveries";

    public int Order => 500;

    public IReadOnlyList<string> Tables { get; } = ["webhook_deliveries", "webhook_attempts"];

    public Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        var rows = await connection.QueryAsync(
            $"""
            SELECT id, type, project_id, CASE WHEN type LIKE 'generation.%' OR type LIKE 'batch.%' THEN payload ELSE NULL END AS payload
            FROM webhook_deliveries WHERE id > @after ORDER BY id LIMIT {Portion}
            """,
            [("@after", cursor)],
            row => (Id: row.Text("id"), Project: row.Text("project_id"), About: row.BytesOrNull("payload") is { } payload ? SubjectOf(payload) : null),
            cancellationToken);
        if (rows.Count == 0) return new ErasureStep(0, null);
        var subjects = rows.Where(row => row.About is not null).Select(row => row.About!).ToHashSet(StringComparer.Ordinal);
        var selected = await target.WhichAsync(connection, subjects, cancellationToken);
        if (target.Kind == ErasureKind.Key) selected.UnionWith(await BatchesAsync(connection, target, subjects, cancellationToken));
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var erased = 0;
        foreach (var row in rows)
        {
            var isSelected = row.About is not null && (selected.Contains(row.About)
                || (target.Kind == ErasureKind.Project && row.Project == target.Selector.TargetId));
            if (!isSelected) continue;
            // What a delivery says about a generation that came later is not asked for.
            erased += await connection.ExecuteAsync(
                $"DELETE FROM webhook_deliveries WHERE id = @id{(selected.Contains(row.About!) ? "" : " AND created_at <= @until")}",
                [("@id", row.Id), ("@until", target.Until)], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return new ErasureStep(erased, rows.Count < Portion ? null : rows[^1].Id);
    });

    private static async Task<List<string>> BatchesAsync(
        DbConnection connection, ErasureTarget target, IEnumerable<string> subjects, CancellationToken cancellationToken)
    {
        var found = new List<string>();
        foreach (var id in subjects.Where(id => id.StartsWith("batch_", StringComparison.Ordinal)))
        {
            if (await connection.Int64Async(
                $"SELECT 1 FROM batches WHERE id = @id AND key_id = @key AND created_at <= @until AND {target.ScopeOf("project_id")}",
                [("@id", id), ("@key", target.Selector.TargetId), .. target.ScopeValues], cancellationToken) is not null)
            {
                found.Add(id);
            }
        }
        return found;
    }

    private static string? SubjectOf(byte[] payload)
    {
        using var document = JsonDocument.Parse(payload);
        return document.RootElement.TryGetProperty("data", out var data) && data.ValueKind == JsonValueKind.Object
            && data.TryGetProperty("id", out var id) && id.ValueKind == JsonValueKind.String ? id.GetString() : null;
    }
}
