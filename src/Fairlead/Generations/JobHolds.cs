using Fairlead.Catalogue;
using Fairlead.Limits;
using Fairlead.Limits.Budgets;

namespace Fairlead.Generations;

/// <summary>
/// Restores the reservation of a job before its run, if the process that accepted it has stopped: its money has been held in the database
/// since. Thread-safe.
/// </summary>
internal sealed class JobHolds(
    HeldReservations held, JobMoney money, BudgetHolder holder, JobCalls calls, ICatalogue catalogue)
{
    /// <summary>Call before the run of a job that this process has taken from the queue.</summary>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    public async Task RestoreAsync(GenerationRecord record, CancellationToken cancellationToken)
    {
        if (record.Hold is not { } hold || held.Has(record.Id)) return;
        // Another process has it, or this one has used it for an earlier run: the run reserves for itself.
        if (hold.Holder is { } other && (other == holder || other.Node != holder.Node)) return;
        if (calls.CallerOf(record.KeyId, record.ProjectId) is not { } caller || catalogue.Current.Find(hold.Model) is not { } model) return;
        var reservation = new TokenReservation(caller, model.Id, record.Class, record.CreatedAt) { OutputCap = hold.OutputCap };
        var amounts = new LimitAmounts { Tokens = hold.Tokens, Pico = hold.Pico };
        if (await money.TryTakeAsync(record.Id, reservation, caller, model, amounts, cancellationToken))
            held.Keep(record.Id, reservation);
    }
}
