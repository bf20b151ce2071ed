using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Limits.Budgets;

namespace Fairlead.Limits;

/// <summary>Moves what a job holds in the database into the accounts of this process. Thread-safe.</summary>
internal sealed class JobMoney(LimitAccounts accounts, BudgetHolds holds, IBudgetLeases leases)
{
    /// <summary>Prepares to take the hold of a job of a stopped process into its reservation.</summary>
    /// <param name="generationId">The job.</param>
    /// <param name="reservation">Holds nothing yet.</param>
    /// <param name="caller">The caller of the job.</param>
    /// <param name="model">Its model.</param>
    /// <param name="amounts">What the job holds.</param>
    public HoldTransfer Prepare(
        string generationId, TokenReservation reservation, Caller caller, CatalogueModel model, LimitAmounts amounts)
    {
        var given = accounts.Of(caller, model, reservation.Class).Budgets.Where(budget => amounts.Of(budget.Name) > 0)
            .ToDictionary(budget => BudgetAccount.KeyOf(budget.Identity, reservation.AcceptedAt), budget => amounts.Of(budget.Name));
        return new HoldTransfer(generationId, reservation, caller, model, amounts, given);
    }

    /// <summary>
    /// Takes the hold. After an exception, <see cref="HoldTransfer.MayHaveCommitted"/> says whether this process may have it; then the same
    /// transfer must be tried again, also if the job does not run here.
    /// </summary>
    /// <returns>False if another process has the hold, or the job has ended.</returns>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    /// <exception cref="Storage.StorageException">The database is unavailable, or it is unknown whether it has committed.</exception>
    public async Task<bool> TryTakeAsync(HoldTransfer transfer, CancellationToken cancellationToken)
    {
        if (!await holds.TakeAsync(transfer, cancellationToken)) return false;
        var reservation = transfer.Reservation;
        while (true)
        {
            // A limit may have been added meanwhile; of that one nothing is held.
            var limits = accounts.Of(transfer.Caller, transfer.Model, reservation.Class);
            var held = limits with { Budgets = [.. limits.Budgets.Where(budget => transfer.Given.ContainsKey(KeyOf(budget)))] };
            if (!limits.Accounts.TryHoldGiven(reservation, held, transfer.Amounts)) continue;
            // Or one may have been removed: no call spends what was given of it.
            var kept = held.Budgets.Select(KeyOf).ToHashSet();
            leases.Return([.. transfer.Given.Where(one => !kept.Contains(one.Key)).Select(one => (one.Key, one.Value))]);
            return true;
        }

        BudgetKey KeyOf(BudgetAccount budget) => BudgetAccount.KeyOf(budget.Identity, reservation.AcceptedAt);
    }
}
