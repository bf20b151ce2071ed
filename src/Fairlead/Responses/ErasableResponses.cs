using System.Data.Common;
using Fairlead.Conversation;
using Fairlead.Erasure;
using Fairlead.Storage;

namespace Fairlead.Responses;

/// <summary>
/// Stored responses in erasures, with all that continue them: those build on what is erased, and could not be continued without it. They
/// are found by their generations and, as audit records may be kept for a shorter time, by their own key and end user. Thread-safe.
/// </summary>
internal sealed class ErasableResponses(IStorage storage) : IErasureSource, IErasable
{
    /// <summary>Responses of one portion, without those that continue them.</summary>
    private const int Portion = 50;

    /// <summary>Rows of one page when end users have to be compared one by one.</summary>
    private const int PageRows = 200;

    public string Name => "responses";

    public int Order => 200;

    public IReadOnlyList<string> Tables { get; } = ["stored_responses"];

    /// <summary>A generation whose audit record is older than the retention may still have its response.</summary>
    public async Task<FoundCalls> FindAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        if (target.Kind != ErasureKind.Generation) return new FoundCalls([], null);
        await using var connection = await storage.OpenAsync(cancellationToken);
        var project = await connection.TextAsync(
            $"SELECT project_id FROM stored_responses WHERE id = @id{target.ReachOf("project_id")}",
            [("@id", storage.Sql.Storable(Ids.Sibling("resp_", target.Selector.TargetId!))), .. target.ScopeValues], cancellationToken);
        return new FoundCalls(project is null ? [] : [new FoundCall(target.Selector.TargetId!, project)], null);
    }

    public Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (cursor.Length == 0) await ErasureTarget.SettleAsync(storage, connection, "stored_responses", cancellationToken);
        var (ids, next) = cursor.StartsWith("own:", StringComparison.Ordinal)
            ? await OwnAsync(connection, target, cursor[4..], cancellationToken)
            : await OfGenerationsAsync(connection, target, cursor, cancellationToken);
        if (ids.Count == 0) return new ErasureStep(0, next);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        var erased = 0;
        // Whole conversations in one transaction: a response whose predecessor is gone could not be found again.
        var seen = new HashSet<string>(ids, StringComparer.Ordinal);
        var left = new Queue<string>(ids);
        while (left.TryDequeue(out var id))
        {
            foreach (var following in await connection.QueryAsync(
                "SELECT id FROM stored_responses WHERE previous_id = @id", [("@id", id)], row => row.Text("id"), cancellationToken))
            {
                if (seen.Add(following)) left.Enqueue(following);
            }
            erased += await connection.ExecuteAsync("DELETE FROM stored_responses WHERE id = @id", [("@id", id)], cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
        return new ErasureStep(erased, next);
    });

    private static async Task<(List<string> Ids, string? Next)> OfGenerationsAsync(
        DbConnection connection, ErasureTarget target, string after, CancellationToken cancellationToken)
    {
        var generations = await target.NextAsync(connection, after, Portion, cancellationToken);
        if (generations.Count == 0) return ([], target.Kind == ErasureKind.Generation ? null : "own:");
        return (generations.ConvertAll(id => string.Concat("resp_", id.AsSpan(id.IndexOf('_', StringComparison.Ordinal) + 1))), generations[^1]);
    }

    private static async Task<(List<string> Ids, string? Next)> OwnAsync(
        DbConnection connection, ErasureTarget target, string after, CancellationToken cancellationToken)
    {
        // A page of ids first, whatever they are, so that the cost of a portion does not depend on how few of them match.
        var rows = await connection.QueryAsync(
            $"""
            SELECT id, key_id, end_user, CASE WHEN {target.ScopeOf("project_id")} AND created_at <= @until THEN 1 ELSE 0 END AS in_scope
            FROM stored_responses WHERE id > @after ORDER BY id LIMIT {PageRows}
            """,
            [("@after", after), .. target.ScopeValues],
            row => (Id: row.Text("id"), Key: row.TextOrNull("key_id"), User: row.TextOrNull("end_user"), InScope: row.Bool("in_scope")),
            cancellationToken);
        var ids = rows.FindAll(row => row.InScope && target.Kind switch
        {
            ErasureKind.Project => true,
            ErasureKind.Key => row.Key == target.Selector.TargetId,
            _ => target.Selector.IsEndUser(row.User),
        });
        return (ids.ConvertAll(row => row.Id), rows.Count < PageRows ? null : "own:" + rows[^1].Id);
    }
}
