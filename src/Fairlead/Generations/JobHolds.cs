using System.Collections.Concurrent;
using Fairlead.Catalogue;
using Fairlead.Limits;
using Fairlead.Limits.Budgets;

namespace Fairlead.Generations;

/// <summary>
/// Restores the reservation of a job before its run, if the process that accepted it has stopped: its money has been held in the database
/// since. For one caller.
/// </summary>
internal sealed class JobHolds(
    HeldReservations held, JobMoney money, BudgetHolder holder, JobCalls calls, ICatalogue catalogue)
{
    // The lease of this process may have their holds: the response to a commit was lost.
    private readonly ConcurrentDictionary<string, HoldTransfer> _unknown = new(StringComparer.Ordinal);

    /// <summary>Call before the run of a job that this process has taken from the queue.</summary>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable. The job must not run now.</exception>
    /// <exception cref="Storage.StorageException">The same, or it is unknown whether the database has committed.</exception>
    public async Task RestoreAsync(GenerationRecord record, CancellationToken cancellationToken)
    {
        if (held.Has(record.Id)) return;
        if (_unknown.TryGetValue(record.Id, out var unknown))
        {
            await TakeAsync(unknown, cancellationToken);
            return;
        }
        if (record.Hold is not { } hold) return;
        // Another process has it, or this one has used it for an earlier run: the run reserves for itself.
        if (hold.Holder is { } other && (other == holder || other.Node != holder.Node)) return;
        if (calls.CallerOf(record.KeyId, record.ProjectId) is not { } caller || catalogue.Current.Find(hold.Model) is not { } model) return;
        var reservation = new TokenReservation(caller, model.Id, record.Class, record.CreatedAt) { OutputCap = hold.OutputCap };
        var amounts = new LimitAmounts { Tokens = hold.Tokens, Pico = hold.Pico };
        await TakeAsync(money.Prepare(record.Id, reservation, caller, model, amounts), cancellationToken);
    }

    /// <summary>
    /// Finds out whether this process has the holds of jobs whose commit stayed unknown, wherever these jobs run now. What it has is kept
    /// like any reservation of an accepted job, and released if the job does not start here.
    /// </summary>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable. Try again later.</exception>
    /// <exception cref="Storage.StorageException">The same.</exception>
    public async Task FinishUnknownAsync(CancellationToken cancellationToken)
    {
        foreach (var (_, transfer) in _unknown) await TakeAsync(transfer, cancellationToken);
    }

    private async Task TakeAsync(HoldTransfer transfer, CancellationToken cancellationToken)
    {
        try
        {
            if (await money.TryTakeAsync(transfer, cancellationToken)) held.Keep(transfer.GenerationId, transfer.Reservation);
        }
        catch when (transfer.MayHaveCommitted)
        {
            _unknown[transfer.GenerationId] = transfer;
            throw;
        }
        _unknown.TryRemove(transfer.GenerationId, out _);
    }
}
