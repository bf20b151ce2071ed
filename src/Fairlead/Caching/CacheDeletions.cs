using Fairlead.Storage;

namespace Fairlead.Caching;

/// <summary>
/// The deletions that this node knows. They are in the database, so they reach every node, also without Redis. A deletion is a number that
/// grows: no clock decides what was kept before it. Thread-safe.
/// </summary>
internal sealed class CacheDeletions(IStorage storage, OutputCache cache) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private volatile DeletionCounts? _current;

    /// <summary>Null until the database was read once; then no call may use the cache.</summary>
    public DeletionCounts? Current => _current;

    /// <summary>Adds a deletion: of a project, a model, both, or everything. When it returns, this node uses it.</summary>
    public async Task AddAsync(string? projectId, string? model, CancellationToken cancellationToken)
    {
        await storage.ExecuteAsync(
            """
            INSERT INTO cache_deletions (project_id, model, count) VALUES (@project, @model, 1)
            ON CONFLICT (project_id, model) DO UPDATE SET count = cache_deletions.count + 1
            """,
            [("@project", projectId ?? ""), ("@model", model ?? "")], cancellationToken);
        await RefreshAsync(cancellationToken);
    }

    /// <summary>Reads the deletions of all nodes.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            await using var connection = await storage.OpenAsync(cancellationToken);
            if (_current is { } known
                && await connection.Int64Async("SELECT CAST(COALESCE(SUM(count), 0) AS BIGINT) FROM cache_deletions", [], cancellationToken)
                    == known.Total)
            {
                return;
            }
            var rows = await connection.QueryAsync(
                "SELECT project_id, model, count FROM cache_deletions", [],
                static row => (row.Text("project_id"), row.Text("model"), row.Int64("count")), cancellationToken);
            var counts = new DeletionCounts(rows);
            _current = counts;
            cache.Sweep(counts);
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Dispose() => _gate.Dispose();
}
