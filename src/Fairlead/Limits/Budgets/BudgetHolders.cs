using System.Data.Common;
using System.Globalization;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// The processes that hold leases: signs of life, write-offs, and the deletion of what is no longer needed. For one loop; only
/// <see cref="ReleaseAsync"/> may be called later.
/// </summary>
internal sealed class BudgetHolders(
    IStorage storage, BudgetHolder holder, LeasedBudgets budgets, BudgetLeaseOptions options, TimeProvider time)
{
    /// <summary>How long the leases of an ended period remain for calls that have just ended.</summary>
    private static readonly TimeSpan AfterPeriod = TimeSpan.FromHours(1);

    private readonly Dictionary<BudgetHolder, (long Beat, long Since)> _seen = [];
    private long? _lookedAt;

    private (string Name, SqlValue Value)[] Own => [("@node", holder.Node), ("@process", holder.Process)];

    /// <summary>Shows that this process is alive, and undoes its write-off.</summary>
    /// <param name="reserved">What its calls hold of money, for other nodes; null if it has not changed.</param>
    /// <param name="cancellationToken">Stops the statement.</param>
    public async Task BeatAsync(string? reserved, CancellationToken cancellationToken) => await storage.ExecuteAsync(
        """
        UPDATE budget_holders SET beat = beat + 1, written_off = 0, reserved = COALESCE(@reserved, reserved)
        WHERE node = @node AND process = @process
        """,
        [.. Own, ("@reserved", reserved)], cancellationToken);

    /// <summary>
    /// Writes off the leases of processes that have shown no sign of life for <see cref="BudgetLeaseOptions.WriteOffAfter"/>, as this
    /// process has seen it without a gap: after an outage of the database, all get the whole time again.
    /// </summary>
    /// <returns>The processes that were written off.</returns>
    public async Task<IReadOnlyList<BudgetHolder>> WriteOffAsync(CancellationToken cancellationToken)
    {
        var now = time.GetTimestamp();
        var writeOffAfter = options.WriteOffAfter();
        if (_lookedAt is { } last && time.GetElapsedTime(last, now) > writeOffAfter / 2) _seen.Clear();
        _lookedAt = null;
        await using var connection = await storage.OpenAsync(cancellationToken);
        var found = await connection.QueryAsync(
            "SELECT node, process, beat FROM budget_holders WHERE written_off = 0 AND NOT (node = @node AND process = @process)",
            Own, row => (Holder: new BudgetHolder(row.Text("node"), row.Int64("process")), Beat: row.Int64("beat")), cancellationToken);
        foreach (var gone in _seen.Keys.Except(found.Select(one => one.Holder)).ToArray()) _seen.Remove(gone);
        var writtenOff = new List<BudgetHolder>();
        foreach (var (other, beat) in found)
        {
            if (!_seen.TryGetValue(other, out var seen) || seen.Beat != beat) _seen[other] = seen = (beat, now);
            if (time.GetElapsedTime(seen.Since, now) < writeOffAfter) continue;
            var rows = await storage.WriteAsync(
                connection,
                "UPDATE budget_holders SET written_off = @at WHERE node = @node AND process = @process AND beat = @beat AND written_off = 0",
                [("@node", other.Node), ("@process", other.Process), ("@beat", beat), ("@at", time.GetUtcNow())], cancellationToken);
            _seen.Remove(other);
            if (rows > 0) writtenOff.Add(other);
        }
        _lookedAt = now;
        return writtenOff;
    }

    /// <summary>
    /// Deletes leases of ended periods of which nothing is outstanding, or which are written off; and processes that were written off and
    /// hold nothing. Forgets budgets of ended periods of which this process has no lease.
    /// </summary>
    public async Task CleanAsync(CancellationToken cancellationToken)
    {
        var before = time.GetUtcNow() - AfterPeriod;
        await using var connection = await storage.OpenAsync(cancellationToken);
        if (await connection.Int64Async(
            "SELECT 1 FROM budget_leases WHERE period_end < @before LIMIT 1", [("@before", before)], cancellationToken) is not null)
        {
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            var deleted = await connection.QueryAsync(
                """
                DELETE FROM budget_leases WHERE period_end < @before AND (outstanding = 0 OR EXISTS (
                    SELECT 1 FROM budget_holders h
                    WHERE h.node = budget_leases.node AND h.process = budget_leases.process AND h.written_off <> 0))
                RETURNING budget, node, process
                """,
                [("@before", before)],
                row => (Budget: row.Text("budget"), Holder: new BudgetHolder(row.Text("node"), row.Int64("process"))), cancellationToken);
            await transaction.CommitAsync(cancellationToken);
            foreach (var (budget, other) in deleted)
            {
                if (other == holder && BudgetKeys.TryParse(budget, out var key)) budgets.Remove(key.Value);
            }
        }
        await ForgetAsync(connection, before, cancellationToken);
        await storage.WriteAsync(
            connection,
            """
            DELETE FROM budget_holders WHERE written_off <> 0 AND NOT EXISTS (
                SELECT 1 FROM budget_leases b WHERE b.node = budget_holders.node AND b.process = budget_holders.process)
            """,
            [], cancellationToken);
    }

    /// <summary>
    /// Releases what earlier processes of this node held if their replay was incomplete and they were written off
    /// <see cref="BudgetLeaseOptions.ReleaseAfter"/> ago: an invalid record must not close a budget for good. Only correct after the replay:
    /// these processes have ended, so that they spend nothing any more.
    /// </summary>
    public Task ReleaseReplayedAsync(CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await ReleaseAsync(
            storage, connection,
            "h.replay_node = @node AND NOT (h.node = @node AND h.process = @process) AND h.written_off <> 0 AND h.written_off < @before",
            [.. Own, ("@before", time.GetUtcNow() - options.ReleaseAfter)], cancellationToken);
    });

    /// <summary>Returns all that this process holds. Only correct when its calls have ended and are in the ledger.</summary>
    public Task ReleaseAsync(CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await ReleaseAsync(storage, connection, "h.node = @node AND h.process = @process", Own, cancellationToken);
    });

    /// <summary>Deletes processes and their leases in one transaction. The holds of their jobs then count by themselves.</summary>
    /// <param name="storage">The database.</param>
    /// <param name="connection">A connection without a transaction.</param>
    /// <param name="condition">SQL condition on the row <c>h</c> of a process.</param>
    /// <param name="values">Its values.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    public static async Task ReleaseAsync(
        IStorage storage, DbConnection connection, string condition, (string Name, SqlValue Value)[] values,
        CancellationToken cancellationToken)
    {
        var released = await connection.QueryAsync(
            $"SELECT h.node, h.process FROM budget_holders h WHERE {condition}", values,
            row => new BudgetHolder(row.Text("node"), row.Int64("process")), cancellationToken);
        if (released.Count == 0) return;
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        foreach (var (node, process) in released)
        {
            (string Name, SqlValue Value)[] one = [("@node", node), ("@process", process)];
            await BudgetHolds.ReleaseAsync(storage, connection, "hold_node = @node AND hold_process = @process", one, cancellationToken);
            await connection.ExecuteAsync(
                """
                DELETE FROM budget_leases WHERE node = @node AND process = @process;
                DELETE FROM budget_holders WHERE node = @node AND process = @process
                """,
                one, cancellationToken);
        }
        await transaction.CommitAsync(cancellationToken);
    }

    /// <summary>Processes that hold parts of these budgets, can be asked for them, and are not this one.</summary>
    public static async Task<List<(string Budget, BudgetHolder Holder)>> HoldersAsync(
        IStorage storage, BudgetHolder holder, IReadOnlyList<BudgetKey> keys, CancellationToken cancellationToken)
    {
        var names = keys.Select((_, i) => string.Create(CultureInfo.InvariantCulture, $"@budget{i}")).ToArray();
        await using var connection = await storage.OpenAsync(cancellationToken);
        return await connection.QueryAsync(
            $"""
            SELECT b.budget, b.node, b.process FROM budget_leases b LEFT JOIN budget_holders h ON h.node = b.node AND h.process = b.process
            WHERE b.budget IN ({string.Join(", ", names)}) AND b.outstanding > 0 AND COALESCE(h.written_off, 0) = 0
                AND COALESCE(h.replay_node, b.node) <> @node
            """,
            [("@node", holder.Node), .. keys.Select((key, i) => (names[i], (SqlValue)key.ToText()))],
            row => (row.Text("budget"), new BudgetHolder(row.Text("node"), row.Int64("process"))), cancellationToken);
    }

    // A budget that was asked for and had nothing left has no lease.
    private async Task ForgetAsync(DbConnection connection, DateTimeOffset before, CancellationToken cancellationToken)
    {
        var ended = budgets.All.Where(one => one.Key.PeriodEnd < before).Select(one => one.Key).ToArray();
        if (ended.Length == 0) return;
        var leased = await connection.QueryAsync(
            "SELECT budget FROM budget_leases WHERE node = @node AND process = @process AND period_end < @before",
            [.. Own, ("@before", before)], row => row.Text("budget"), cancellationToken);
        var kept = leased.ToHashSet(StringComparer.Ordinal);
        foreach (var key in ended)
        {
            if (!kept.Contains(key.ToText())) budgets.Remove(key);
        }
    }
}
