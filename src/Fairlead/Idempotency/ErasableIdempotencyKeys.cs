using Fairlead.Conversation;
using Fairlead.Erasure;
using Fairlead.Storage;

namespace Fairlead.Idempotency;

/// <summary>
/// Idempotency keys in erasures, with the responses that are kept for them. A key of a call that is about to store its response is waited
/// for. After that it is free: a repeated request runs again. Thread-safe.
/// </summary>
internal sealed class ErasableIdempotencyKeys(IStorage storage, TimeProvider time) : IErasureSource, IErasable
{
    private const int Portion = 200;

    /// <summary>Marks that a call still runs, in a cursor. No id of a project starts with it.</summary>
    private const char Waits = '!';

    private static readonly TimeSpan RunningPause = TimeSpan.FromSeconds(1);

    public string Name => "idempotency_keys";

    public int Order => 400;

    public IReadOnlyList<string> Tables { get; } = ["idempotency_keys"];

    public async Task<FoundCalls> FindAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        if (target.Kind != ErasureKind.Generation) return new FoundCalls([], null);
        await using var connection = await storage.OpenAsync(cancellationToken);
        // There is no index by generation, and an erasure is rarer than any call.
        var project = await connection.TextAsync(
            $"SELECT project_id FROM idempotency_keys WHERE generation_id = @id{target.ReachOf("project_id")} LIMIT 1",
            [("@id", storage.Sql.Storable(target.Selector.TargetId!)), .. target.ScopeValues], cancellationToken);
        return new FoundCalls(project is null ? [] : [new FoundCall(target.Selector.TargetId!, project)], null);
    }

    public Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (cursor.Length == 0) await ErasureTarget.SettleAsync(storage, connection, "idempotency_keys", cancellationToken);
        var (waits, after) = (cursor.StartsWith(Waits), cursor.TrimStart(Waits));
        // A page of keys first, whatever they are: there is no index by generation, and an erasure is rarer than any call.
        var (project, key) = after.Length == 0 ? ("", "") : Split(after);
        var rows = await connection.QueryAsync(
            $"""
            SELECT project_id, idempotency_key, generation_id, status, lease_until FROM idempotency_keys
            WHERE (project_id, idempotency_key) > (@project, @key) ORDER BY project_id, idempotency_key LIMIT {Portion}
            """,
            [("@project", project), ("@key", key)],
            row => (Project: row.Text("project_id"), Key: row.Text("idempotency_key"), Generation: row.Text("generation_id"),
                IsRunning: row.Int64("status") == 0, LeaseUntil: row.Time("lease_until")),
            cancellationToken);
        if (rows.Count == 0) return waits ? new ErasureStep(0, "", RunningPause) : new ErasureStep(0, null);
        var selected = await target.WhichAsync(connection, rows.Select(row => row.Generation), cancellationToken);
        // Whose records are gone already: the time is in the id of the generation.
        if (target.Kind == ErasureKind.Project)
        {
            selected.UnionWith(rows.Where(row => row.Project == target.Selector.TargetId && Ids.TimeOf("gen_", row.Generation) <= target.Until)
                .Select(row => row.Generation));
        }
        // One that has lost its lease stores nothing any more, as its generation is known as erased.
        waits |= rows.Exists(row => row.IsRunning && row.LeaseUntil > time.GetUtcNow() && selected.Contains(row.Generation));
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
        // The page after the last one is empty, and ends it.
        return new ErasureStep(erased, $"{(waits ? Waits.ToString() : "")}{rows[^1].Project} {rows[^1].Key}");
    });

    // Ids of projects have no space.
    private static (string Project, string Key) Split(string cursor)
    {
        var space = cursor.IndexOf(' ', StringComparison.Ordinal);
        return (cursor[..space], cursor[(space + 1)..]);
    }
}
