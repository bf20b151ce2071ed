using System.Data.Common;
using System.Globalization;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// The leases of runs in the database: renewed by the process that runs them, taken over when that process is gone. A run is identified by
/// the owner of its lease and its number. A change is committed when its method returns. Thread-safe.
/// </summary>
internal sealed class RunLeases(IStorage storage, GenerationSql sql, TimeProvider time, BudgetHolder? holder = null)
{
    /// <summary>Suspicion of a generation that killed its process while it ran alone: it is only ended.</summary>
    private const int CauseOfDeath = -1;

    /// <summary>After so many deaths a generation counts as their cause, even if others ran beside it.</summary>
    private const int MaxDeaths = 3;

    /// <summary>
    /// Extends the leases of <paramref name="runs"/> and stores their progress. Returns the ids of those that still have their generation,
    /// each with whether its cancellation was requested.
    /// </summary>
    public Task<IReadOnlyDictionary<string, bool>> RenewAsync(
        string owner, IReadOnlyCollection<RunProgress> runs, TimeSpan lease, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync<IReadOnlyDictionary<string, bool>>(async () =>
    {
        var held = new Dictionary<string, bool>(StringComparer.Ordinal);
        // A run that lasts has its money in the lease of this process, whoever accepted the job.
        var hold = holder is null ? "" : """
            , hold_node = CASE WHEN hold_state = 0 THEN hold_node ELSE @hold_node END,
                hold_process = CASE WHEN hold_state = 0 THEN hold_process ELSE @hold_process END,
                hold_state = CASE WHEN hold_state = 0 THEN 0 ELSE 1 END
            """;
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        // By id: all transactions lock rows in this order.
        foreach (var run in runs.OrderBy(run => run.Id, StringComparer.Ordinal))
        {
            var cancelRequested = await connection.Int64Async(
                $"""
                UPDATE generations SET lease_until = {sql.LeaseEnd}, progress = COALESCE(@progress, progress){hold}
                WHERE {GenerationSql.IsHeldByRun}
                RETURNING cancel_requested
                """,
                [
                    ("@id", run.Id), ("@owner", owner), ("@run", run.Run), ("@progress", run.Progress), GenerationSql.Lease(lease),
                    sql.Clock, ("@hold_node", holder?.Node), ("@hold_process", holder?.Process),
                ],
                cancellationToken);
            if (cancelRequested is not null) held[run.Id] = cancelRequested != 0;
        }
        await transaction.CommitAsync(cancellationToken);
        return held;
    });

    /// <summary>Runs whose lease <paramref name="owner"/> has, according to the database.</summary>
    public async Task<IReadOnlyList<(string Id, int Run)>> HeldByAsync(string owner, CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            "SELECT id, runs FROM generations WHERE status = 'in_progress' AND lease_owner = @owner ORDER BY id",
            [("@owner", owner)], row => (row.Text("id"), row.Int32("runs")), cancellationToken);
    }

    /// <summary>
    /// Ends all leases, so that the runs can be taken over at once. Only correct if no other process can use this database.
    /// </summary>
    public async Task ReleaseAllAsync(CancellationToken cancellationToken) =>
        await storage.ExecuteAsync("UPDATE generations SET lease_until = 0 WHERE status = 'in_progress'", [], cancellationToken);

    /// <summary>
    /// Returns the runs of processes that are gone to the queue, as suspects; these runs do not count. A suspect that was the only run of
    /// its process is the cause of the death and does not run again: these are returned, under a lease of the caller, who ends them. A
    /// process is gone if all its leases have ended; if it is still connected to the database, its runs are queued again but are no
    /// suspects.
    /// </summary>
    public Task<IReadOnlyList<GenerationRecord>> TakeOverAsync(string owner, TimeSpan lease, CancellationToken cancellationToken) =>
        StorageRetry.RunAsync<IReadOnlyList<GenerationRecord>>(async () =>
    {
        var startedAt = time.GetTimestamp();
        await using var connection = await storage.OpenAsync(cancellationToken);
        // Usually there are none, which must not need the write lock.
        if (await LostRunsAsync(connection, owner, isLocking: false, cancellationToken) is { Count: 0 }) return [];

        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await storage.Sql.LockAsync(transaction, StorageLock.Suspects, cancellationToken);
        var lost = await LostRunsAsync(connection, owner, isLocking: true, cancellationToken);
        var causes = new List<GenerationRecord>();
        // A process that is still connected was only slow: it has stopped its runs by its own clock, and they have killed no process.
        var dead = new HashSet<string>(StringComparer.Ordinal);
        foreach (var process in lost.Select(run => run.Owner).Distinct(StringComparer.Ordinal))
        {
            if (await storage.Sql.IsGoneAsync(transaction, process, cancellationToken)) dead.Add(process);
        }
        // By id: all transactions lock rows in this order.
        foreach (var (id, process, suspicion) in lost)
        {
            var died = dead.Contains(process);
            var ranAlone = lost.Count(other => other.Owner == process) == 1;
            if (suspicion == CauseOfDeath || (died && suspicion > 0 && (ranAlone || suspicion >= MaxDeaths)))
            {
                causes.AddRange(await MarkAsCauseAsync(connection, id, owner, lease, cancellationToken));
                continue;
            }
            await connection.ExecuteAsync(
                """
                UPDATE generations SET status = 'queued', available_at = created_at, lease_owner = NULL, lease_until = NULL,
                    progress = NULL, returns = returns + 1, suspicion = suspicion + @deaths WHERE id = @id
                """,
                [("@deaths", died), ("@id", id)], cancellationToken);
        }
        // If this took long, the database was unavailable, and leases that had ended by then may have been renewed since.
        if (time.GetElapsedTime(startedAt) > StoreWatch.GapOf(lease)) return [];
        await transaction.CommitAsync(cancellationToken);
        return causes;
    });

    /// <summary>Runs of processes that are gone: none of their leases is left.</summary>
    private async Task<List<(string Id, string Owner, int Suspicion)>> LostRunsAsync(
        DbConnection connection, string owner, bool isLocking, CancellationToken cancellationToken) =>
        await connection.QueryAsync(
            $"""
            SELECT id, lease_owner, suspicion FROM generations
            WHERE status = 'in_progress' AND lease_until < {storage.Sql.Clock} AND lease_owner <> @owner
                AND NOT EXISTS (
                    SELECT 1 FROM generations held
                    WHERE held.status = 'in_progress' AND held.lease_owner = generations.lease_owner
                        AND held.lease_until >= {storage.Sql.Clock})
            ORDER BY id{(isLocking ? storage.Sql.ForUpdate : " LIMIT 1")}
            """,
            [("@owner", owner), sql.Clock], row => (row.Text("id"), row.Text("lease_owner"), row.Int32("suspicion")), cancellationToken);

    // Committed before anything else is tried: after another death, no other node runs it either.
    private async Task<List<GenerationRecord>> MarkAsCauseAsync(
        DbConnection connection, string id, string owner, TimeSpan lease, CancellationToken cancellationToken) =>
        await connection.QueryAsync(
            $"""
            UPDATE generations SET suspicion = {CauseOfDeath.ToString(CultureInfo.InvariantCulture)}, runs = runs + 1,
                returns = returns + 1, lease_owner = @owner, lease_until = {sql.LeaseEnd}, progress = NULL
            WHERE id = @id RETURNING {GenerationSql.Columns}
            """,
            [("@id", id), ("@owner", owner), GenerationSql.Lease(lease), sql.Clock], GenerationSql.Read, cancellationToken);
}

/// <summary>One run and its progress, or null if there is nothing new.</summary>
internal sealed record RunProgress(string Id, int Run, byte[]? Progress);
