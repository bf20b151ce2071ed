using Fairlead.Access;
using Fairlead.Pipeline;
using Fairlead.Storage;

namespace Fairlead.Limits.Budgets;

/// <summary>
/// What calls and jobs hold of budgets of money: those of this process now, those of other nodes as they reported it at most a few seconds
/// ago, and jobs whose hold is in no process. Thread-safe.
/// </summary>
internal sealed class ReservedAmounts(IStorage storage, BudgetHolder holder, LimitAccounts accounts) : IReservedAmounts
{
    public async ValueTask<IReadOnlyList<ReservedAmount>> ReadAsync(CancellationToken cancellationToken)
    {
        var found = accounts.ReadHeld();
        await using var connection = await storage.OpenAsync(cancellationToken);
        // A process that was written off holds nothing that a call could still use.
        var reports = await connection.QueryAsync(
            """
            SELECT reserved FROM budget_holders
            WHERE reserved IS NOT NULL AND written_off = 0 AND NOT (node = @node AND process = @process)
            """,
            [("@node", holder.Node), ("@process", holder.Process)], row => row.Text("reserved"), cancellationToken);
        foreach (var report in reports) ReservedAmountsText.Read(report, found);
        found.AddRange(await connection.QueryAsync(
            $"""
            SELECT organization_id, project_id, key_id, hold_model, class_rank, created_at, hold_pico FROM generations
            WHERE {BudgetHolds.CountsItself} AND hold_pico > 0
            """,
            [],
            row => new ReservedAmount(
                row.Text("organization_id"), row.Text("project_id"), row.Text("key_id"), row.Text("hold_model"),
                CallClasses.All[row.Int32("class_rank")], HeldAmounts.HourOf(row.Time("created_at")), row.Int64("hold_pico")),
            cancellationToken));
        return found;
    }
}
