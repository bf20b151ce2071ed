using System.Data.Common;
using System.Globalization;
using System.Text;
using Fairlead.Auditing.Ledger;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// What accepted jobs hold of budgets, in the rows of their generations. While a process has the hold in its lease, the row only names the
/// process. When that lease is released, the hold counts by itself, until a process takes it into its own lease to run the job, or the job
/// ends. Thread-safe.
/// </summary>
/// <remarks>
/// <c>hold_state</c> is 0 for a job that holds nothing, 1 for a hold in the lease of <c>hold_node</c> and <c>hold_process</c>, and 2 for
/// one that counts by itself. A job that has ended holds nothing, whatever its row says.
/// </remarks>
internal sealed class BudgetHolds(
    IStorage storage, BudgetHolder holder, LeasedBudgets budgets, LedgerShipper shipper, BudgetLeaseOptions options, TimeProvider time)
{
    /// <summary>Condition: the hold counts by itself.</summary>
    public const string CountsItself = "hold_state = 2 AND status IN ('queued', 'in_progress')";

    private static readonly string[] Statuses = ["queued", "in_progress"];

    /// <summary>Lets the holds of processes count by themselves. Must be in the transaction that releases their leases.</summary>
    /// <param name="storage">The database.</param>
    /// <param name="connection">The connection of the transaction.</param>
    /// <param name="condition">SQL condition on <c>hold_node</c> and <c>hold_process</c>.</param>
    /// <param name="values">Its values.</param>
    /// <param name="cancellationToken">Stops the statements.</param>
    public static async Task ReleaseAsync(
        IStorage storage, DbConnection connection, string condition, (string Name, SqlValue Value)[] values,
        CancellationToken cancellationToken)
    {
        // One statement for each status, because each has an index. In the order in which all transactions lock these rows.
        foreach (var status in Statuses)
        {
            await connection.ExecuteAsync(
                $"""
                UPDATE generations SET hold_state = 2, hold_node = NULL, hold_process = NULL WHERE id IN (
                    SELECT id FROM generations WHERE status = '{status}' AND hold_state = 1 AND {condition}
                    ORDER BY id{storage.Sql.ForUpdate})
                """,
                values, cancellationToken);
        }
    }

    /// <summary>
    /// Moves the hold of a job that this process runs into its lease. No budget has more or less left after it. Waits until the calls of
    /// earlier processes are in the ledger.
    /// </summary>
    /// <param name="transfer">
    /// The job, and what it holds of each budget that applies to it. Learns whether the database was asked to commit: an earlier try of the
    /// same transfer counts once.
    /// </param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    /// <returns>False if the hold does not count by itself: another process has it, or the job has ended.</returns>
    /// <exception cref="DbException">The database is unavailable.</exception>
    /// <exception cref="UnknownCommitException">It may have committed. Try the same transfer again.</exception>
    public async Task<bool> TakeAsync(HoldTransfer transfer, CancellationToken cancellationToken)
    {
        // Until then, the lease of an earlier process of this node has it.
        if (!shipper.Replayed.IsCompleted) await Task.WhenAny(shipper.Replayed, Task.Delay(options.ReplayTimeout, time, cancellationToken));
        // Before the rows of the leases exist: from then on, the ledger's transactions change them.
        foreach (var key in transfer.Given.Keys) budgets.Enter(key);
        return await StorageRetry.RunUntilKnownAsync(async attempt =>
        {
            await using var connection = await storage.OpenAsync(cancellationToken);
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
            (string Name, SqlValue Value)[] own = [("@id", transfer.GenerationId), ("@node", holder.Node), ("@process", holder.Process)];
            var rows = await connection.ExecuteAsync(
                $"""
                UPDATE generations SET hold_state = 1, hold_node = @node, hold_process = @process WHERE id = @id AND {CountsItself}
                """,
                own, cancellationToken);
            if (rows == 0)
            {
                // An earlier attempt was committed.
                return (attempt.IsRepeat || transfer.MayHaveCommitted) && await connection.Int64Async(
                    "SELECT 1 FROM generations WHERE id = @id AND hold_state = 1 AND hold_node = @node AND hold_process = @process", own,
                    cancellationToken) is not null;
            }
            await AddAsync(connection, transfer.Given, cancellationToken);
            attempt.Sending();
            transfer.MayHaveCommitted = true;
            // A cancelled commit may have taken effect.
            await transaction.CommitAsync(CancellationToken.None);
            return true;
        }, time);
    }

    private async Task AddAsync(
        DbConnection connection, IReadOnlyDictionary<BudgetKey, long> amounts, CancellationToken cancellationToken)
    {
        var sql = new StringBuilder("""
            INSERT INTO budget_holders (node, process, replay_node, beat, written_off) VALUES (@node, @process, @node, 0, 0)
            ON CONFLICT (node, process) DO NOTHING
            """);
        List<(string Name, SqlValue Value)> values = [("@node", holder.Node), ("@process", holder.Process)];
        // Rows in one order: the ledger changes them too.
        foreach (var (key, amount) in amounts.OrderBy(one => one.Key.ToText(), StringComparer.Ordinal))
        {
            var i = values.Count.ToString(CultureInfo.InvariantCulture);
            sql.Append(CultureInfo.InvariantCulture, $"""
                ;
                INSERT INTO budget_leases (budget, node, process, period_end, outstanding, settled, grant_number, granted, return_number)
                VALUES (@budget{i}, @node, @process, @end{i}, @amount{i}, 0, 0, 0, 0)
                ON CONFLICT (budget, node, process) DO UPDATE SET outstanding = budget_leases.outstanding + excluded.outstanding
                """);
            values.AddRange([("@budget" + i, key.ToText()), ("@end" + i, key.PeriodEnd), ("@amount" + i, amount)]);
        }
        await connection.ExecuteAsync(sql.ToString(), [.. values], cancellationToken);
    }
}
