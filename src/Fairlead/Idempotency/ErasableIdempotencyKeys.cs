using Fairlead.Erasure;
using Fairlead.Storage;

namespace Fairlead.Idempotency;

/// <summary>
/// Idempotency keys in erasures, with the responses that are kept for them. A key of a call that still runs stays until the record of the
/// call arrives. After that it is free: a repeated request runs again. Thread-safe.
/// </summary>
internal sealed class ErasableIdempotencyKeys(IStorage storage) : IErasable
{
    private const int Portion = 200;

    public string Name => "idempotency_keys";

    public int Order => 400;

    public IReadOnlyList<string> Tables { get; } = ["idempotency_keys"];

    public Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        // A page of keys first, whatever they are: there is no index by generation, and an erasure is rarer than any call.
        var (project, key) = cursor.Length == 0 ? ("", "") : Split(cursor);
        var rows = await connection.QueryAsync(
            $"""
            SELECT project_id, idempotency_key, generation_id, status FROM idempotency_keys
            WHERE (project_id, idempotency_key) > (@project, @key) ORDER BY project_id, idempotency_key LIMIT {Portion}
            """,
            [("@project", project), ("@key", key)],
            row => (Project: row.Text("project_id"), Key: row.Text("idempotency_key"), Generation: row.Text("generation_id"),
                IsRunning: row.Int64("status") == 0),
            cancellationToken);
        if (rows.Count == 0) return new ErasureStep(0, null);
        var selected = await target.WhichAsync(connection, rows.Select(row => row.Generation), cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var erased = 0;
        foreach (var row in rows.Where(row => !row.IsRunning && selected.Contains(row.Generation)))
        {
            erased += await connection.ExecuteAsync(
                """
                DELETE FROM idempotency_keys
                WHERE project_id = @project AND idempotency_key = @key AND generation_id = @generation AND status <> 0
                """,
                [("@project", row.Project), ("@key", row.Key), ("@generation", row.Generation)], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return new ErasureStep(erased, rows.Count < Portion ? null : $"{rows[^1].Project} {rows[^1].Key}");
    });

    // Ids of projects have no space.
    private static (string Project, string Key) Split(string cursor)
    {
        var space = cursor.IndexOf(' ', StringComparison.Ordinal);
        return (cursor[..space], cursor[(space + 1)..]);
    }
}
