using System.Data.Common;
using Fairlead.Storage;

namespace Fairlead.Erasure;

/// <summary>What one erasure erases, for the stores. Thread-safe.</summary>
/// <param name="row">The erasure.</param>
/// <param name="renew">Keeps other nodes from continuing it.</param>
/// <param name="time">The clock.</param>
internal sealed class ErasureTarget(ErasureRow row, Func<Task>? renew = null, TimeProvider? time = null)
{
    private static readonly TimeSpan RenewInterval = TimeSpan.FromSeconds(3);

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private long _renewed = (time ?? TimeProvider.System).GetTimestamp();

    /// <summary>SQL: the generations of the erasure that have been found; needs the parameter <c>@erasure</c>.</summary>
    public const string Generations = "SELECT generation_id FROM erased_generations WHERE erasure_id = @erasure";

    /// <summary>SQL: the projects of these generations.</summary>
    public const string Projects = "SELECT DISTINCT project_id FROM erased_generations WHERE erasure_id = @erasure";

    public string Id => row.Id;

    public ErasureSelector Selector => row.Selector;

    public ErasureKind Kind => row.Selector.Kind;

    /// <summary>Whether the audit records go as well as the content.</summary>
    public bool RemovesRecords => row.RemovesRecords;

    /// <summary>What came later stays.</summary>
    public DateTimeOffset Until => row.CreatedAt;

    /// <summary>Within a portion that may take long, as often as its loops like: it does something every few seconds only.</summary>
    public Task KeepAliveAsync()
    {
        if (renew is null || _time.GetElapsedTime(Volatile.Read(ref _renewed)) < RenewInterval) return Task.CompletedTask;
        Volatile.Write(ref _renewed, _time.GetTimestamp());
        return renew();
    }

    /// <summary>The next generations after one, in the order of their ids.</summary>
    public Task<List<string>> NextAsync(DbConnection connection, string after, int limit, CancellationToken cancellationToken) =>
        connection.QueryAsync(
            $"{Generations} AND generation_id > @after ORDER BY generation_id LIMIT @limit",
            [("@erasure", Id), ("@after", after), ("@limit", (long)limit)], found => found.Text("generation_id"), cancellationToken);

    /// <summary>Which of some generations belong to the erasure.</summary>
    public async Task<HashSet<string>> WhichAsync(DbConnection connection, IEnumerable<string> ids, CancellationToken cancellationToken)
    {
        var selected = new HashSet<string>(StringComparer.Ordinal);
        foreach (var chunk in ids.Distinct(StringComparer.Ordinal).Chunk(200))
        {
            var names = string.Join(", ", chunk.Select((_, index) => $"@g{index}"));
            selected.UnionWith(await connection.QueryAsync(
                $"{Generations} AND generation_id IN ({names})",
                [("@erasure", Id), .. chunk.Select((id, index) => ($"@g{index}", (SqlValue)id))],
                found => found.Text("generation_id"), cancellationToken));
        }
        return selected;
    }

    /// <summary>
    /// SQL condition on a column of project ids: the projects in which the erasure has anything. Needs <see cref="ScopeValues"/>.
    /// </summary>
    public string ScopeOf(string column) => Selector switch
    {
        // A token of one issuer may be used in projects of several organizations, so a key alone says nothing about the project.
        { Kind: ErasureKind.Key, OrganizationId: null } => "1 = 1",
        { Kind: not ErasureKind.Key, ProjectId: not null } => $"{column} = @project",
        { Kind: ErasureKind.EndUser or ErasureKind.Key } => $"({column} IN (SELECT id FROM projects WHERE organization_id = @organization) OR {column} IN ({Projects}))",
        _ => $"{column} IN ({Projects})",
    };

    /// <summary>
    /// SQL that continues a condition: only projects of the organization to which the erasure is limited. Needs <see cref="ScopeValues"/>.
    /// </summary>
    public string ReachOf(string column) =>
        Selector.OrganizationId is null ? "" : $" AND {column} IN (SELECT id FROM projects WHERE organization_id = @organization)";

    /// <summary>
    /// Waits for writers of a table that may not have seen the generations of this erasure. Those that start later see them, so nothing
    /// appears behind the back of the erasure. In SQLite, writers are one after another anyway.
    /// </summary>
    public static async Task SettleAsync(IStorage storage, DbConnection connection, string table, CancellationToken cancellationToken)
    {
        if (storage.Provider != StorageProvider.Postgres) return;
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await connection.ExecuteAsync($"LOCK TABLE {table} IN SHARE MODE", [], cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    public (string Name, SqlValue Value)[] ScopeValues =>
        [("@project", Selector.ProjectId), ("@organization", Selector.OrganizationId), ("@erasure", Id), ("@until", Until)];
}
