using System.Data.Common;
using System.Globalization;
using System.Text;
using Fairlead.Auditing.Ledger;
using Fairlead.Conversation;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// Moves usage from the outstanding amounts of this process's leases to the ledger, in the ledger's transaction; and releases the leases of
/// processes that have stopped, once the ledger has their calls. Thread-safe.
/// </summary>
internal sealed class BudgetSettlement(IStorage storage, BudgetHolder holder, LeasedBudgets budgets) : ILedgerFollower
{
    /// <summary>Statements that are sent at once.</summary>
    private const int MaxStatements = 100;

    public async Task SettleAsync(DbConnection connection, IReadOnlyList<SettledUsage> usage, CancellationToken cancellationToken)
    {
        if (budgets.IsEmpty) return;
        var amounts = new Dictionary<BudgetKey, long>();
        var found = new List<BudgetKey>();
        foreach (var one in usage)
        {
            found.Clear();
            budgets.Find(one, found);
            foreach (var key in found)
            {
                var amount = key.Name.IsMoney() ? one.CostPicoUsd : one.Tokens;
                if (amount > 0) amounts[key] = Money.Add(amounts.GetValueOrDefault(key), amount);
            }
        }
        var unpaid = new List<(LeasedBudget Budget, long Amount)>();
        // In the order in which every transaction changes these rows.
        var rows = amounts.Select(pair => (Budget: pair.Key.ToText(), Amount: Paid(pair.Key, pair.Value, unpaid)))
            .Where(row => row.Amount > 0).OrderBy(row => row.Budget, StringComparer.Ordinal).ToArray();
        try
        {
            foreach (var chunk in rows.Chunk(MaxStatements)) await SettleAsync(connection, chunk, cancellationToken);
        }
        catch
        {
            foreach (var (budget, amount) in unpaid) budget.AddUnpaid(amount);
            throw;
        }
    }

    public async Task AdoptAsync(string from, string to, CancellationToken cancellationToken) => await storage.ExecuteAsync(
        "UPDATE budget_holders SET replay_node = @to WHERE replay_node = @from", [("@from", from), ("@to", to)], cancellationToken);

    public Task ReplayedAsync(string node, CancellationToken cancellationToken) => StorageRetry.RunAsync(async () =>
    {
        (string Name, SqlValue Value)[] values = [("@replayed", node), ("@node", holder.Node), ("@process", holder.Process)];
        await using var connection = await storage.OpenAsync(cancellationToken);
        await BudgetHolders.ReleaseAsync(
            storage, connection, "h.replay_node = @replayed AND NOT (h.node = @node AND h.process = @process)", values, cancellationToken);
    });

    // Usage that no slice pays for is in the ledger and not in the lease. Which calls had it does not matter, only how much. If the commit
    // fails, the lease pays for it after all: the budget can then be exceeded by it, as by usage that was never reserved.
    private long Paid(BudgetKey key, long used, List<(LeasedBudget Budget, long Amount)> unpaid)
    {
        if (budgets.Find(key) is not { } budget || budget.TakeUnpaid(used) is not (> 0 and var taken)) return used;
        unpaid.Add((budget, taken));
        return used - taken;
    }

    // Never below zero: a debt would have to be repaid by exactly one later grant.
    private async Task SettleAsync(DbConnection connection, (string Budget, long Amount)[] rows, CancellationToken cancellationToken)
    {
        var sql = new StringBuilder();
        List<(string Name, SqlValue Value)> values = [("@node", holder.Node), ("@process", holder.Process)];
        for (var i = 0; i < rows.Length; i++)
        {
            sql.Append(CultureInfo.InvariantCulture, $"""
                UPDATE budget_leases SET outstanding = CASE WHEN outstanding > @amount{i} THEN outstanding - @amount{i} ELSE 0 END,
                    settled = CASE WHEN settled > 9223372036854775807 - @amount{i} THEN 9223372036854775807 ELSE settled + @amount{i} END
                WHERE budget = @budget{i} AND node = @node AND process = @process;

                """);
            var suffix = i.ToString(CultureInfo.InvariantCulture);
            values.AddRange([("@budget" + suffix, rows[i].Budget), ("@amount" + suffix, rows[i].Amount)]);
        }
        await connection.ExecuteAsync(sql.ToString(), [.. values], cancellationToken);
    }
}
