using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Caching;

/// <summary>
/// The deletions that this node knows. They are in the database, so they reach every node, also without Redis. A deletion is a number that
/// grows: no clock decides what was kept before it. Thread-safe.
/// </summary>
internal sealed class CacheDeletions(IStorage storage, OutputCache cache, TimeProvider time) : IDisposable
{
    /// <summary>How long the numbers count without being read again. Another node may have deleted something since then.</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _gate = new(1, 1);
    private volatile Reading? _last;
    private Reading? _added;

    /// <summary>Null until the database was read, and while it was not read for too long; then no call may use the cache.</summary>
    public DeletionCounts? Current => _last is { } last && time.GetElapsedTime(last.At) <= MaxAge ? last.Counts : null;

    /// <summary>
    /// The deletions, once, some time after this node has added one: until then, calls on all nodes could still keep what they had begun
    /// before it. Null otherwise.
    /// </summary>
    public DeletionCounts? TakeSettled()
    {
        if (Volatile.Read(ref _added) is not { } added || time.GetElapsedTime(added.At) <= MaxAge || Current is not { } known) return null;
        return Interlocked.CompareExchange(ref _added, null, added) == added ? known : null;
    }

    /// <summary>Adds a deletion: of a project, a model, both, or everything. When it returns, this node uses it.</summary>
    /// <param name="projectId">Null for all projects.</param>
    /// <param name="model">Null for all models.</param>
    /// <param name="record">Records the deletion in its transaction; null for no record.</param>
    /// <param name="cancellationToken">Stops it before the change.</param>
    public async Task AddAsync(
        string? projectId, string? model, Func<DbConnection, Task>? record, CancellationToken cancellationToken)
    {
        await using (var connection = await storage.OpenAsync(cancellationToken))
        await using (var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken))
        {
            await AddAsync(connection, projectId, model, cancellationToken);
            if (record is not null) await record(connection);
            await transaction.CommitAsync(cancellationToken);
        }
        await RefreshAsync(cancellationToken);
        if (_last is { } last) Volatile.Write(ref _added, new Reading(last.Counts, time.GetTimestamp()));
    }

    private static Task<int> AddAsync(DbConnection connection, string? projectId, string? model, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(
            """
            INSERT INTO cache_deletions (project_id, model, count) VALUES (@project, @model, 1)
            ON CONFLICT (project_id, model) DO UPDATE SET count = cache_deletions.count + 1
            """,
            [("@project", projectId ?? ""), ("@model", model ?? "")], cancellationToken);

    /// <summary>Reads the deletions of all nodes.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            var at = time.GetTimestamp();
            await using var connection = await storage.OpenAsync(cancellationToken);
            if (_last is { Counts: var known }
                && await connection.Int64Async("SELECT CAST(COALESCE(SUM(count), 0) AS BIGINT) FROM cache_deletions", [], cancellationToken)
                    == known.Total)
            {
                _last = new Reading(known, at);
                return;
            }
            var rows = await connection.QueryAsync(
                "SELECT project_id, model, count FROM cache_deletions", [],
                static row => (row.Text("project_id"), row.Text("model"), row.Int64("count")), cancellationToken);
            var counts = new DeletionCounts(rows);
            _last = new Reading(counts, at);
            cache.Sweep(counts);
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Dispose() => _gate.Dispose();

    /// <summary>What the database had.</summary>
    /// <param name="Counts">The numbers.</param>
    /// <param name="At">Timestamp before it was asked.</param>
    private sealed record Reading(DeletionCounts Counts, long At);
}
