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
    public async Task BeatAsync(CancellationToken cancellationToken) => await storage.ExecuteAsync(
        "UPDATE budget_holders SET beat = beat + 1, written_off = 0 WHERE node = @node AND process = @process", Own, cancellationToken);

    /// <summary>
    /// Writes off the leases of processes that have shown no sign of life for <see cref="BudgetLeaseOptions.WriteOffAfter"/>, as this
    /// process has seen it without a gap: after an outage of the database, all get the whole time again.
    /// </summary>
    /// <returns>The processes that were written off.</returns>
    public async Task<IReadOnlyList<BudgetHolder>> WriteOffAsync(CancellationToken cancellationToken)
    {
        var now = time.GetTimestamp();
        if (_lookedAt is { } last && time.GetElapsedTime(last, now) > options.WriteOffAfter / 2) _seen.Clear();
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
            if (time.GetElapsedTime(seen.Since, now) < options.WriteOffAfter) continue;
            var rows = await storage.WriteAsync(
                connection,
                "UPDATE budget_holders SET written_off = 1 WHERE node = @node AND process = @process AND beat = @beat AND written_off = 0",
                [("@node", other.Node), ("@process", other.Process), ("@beat", beat)], cancellationToken);
            _seen.Remove(other);
            if (rows > 0) writtenOff.Add(other);
        }
        _lookedAt = now;
        return writtenOff;
    }

    /// <summary>
    /// Deletes leases of ended periods of which nothing is outstanding, or which are written off; and processes that were written off and
    /// hold nothing.
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
                    WHERE h.node = budget_leases.node AND h.process = budget_leases.process AND h.written_off = 1))
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
        await storage.WriteAsync(
            connection,
            """
            DELETE FROM budget_holders WHERE written_off = 1 AND NOT EXISTS (
                SELECT 1 FROM budget_leases b WHERE b.node = budget_holders.node AND b.process = budget_holders.process)
            """,
            [], cancellationToken);
    }

    /// <summary>Returns all that this process holds. Only correct when its calls have ended and are in the ledger.</summary>
    public async Task ReleaseAsync(CancellationToken cancellationToken)
    {
        await using var connection = await storage.OpenAsync(cancellationToken);
        await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
        await connection.ExecuteAsync(
            """
            DELETE FROM budget_leases WHERE node = @node AND process = @process;
            DELETE FROM budget_holders WHERE node = @node AND process = @process
            """,
            Own, cancellationToken);
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
}
