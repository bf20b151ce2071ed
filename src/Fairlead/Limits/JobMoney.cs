using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Limits.Budgets;

namespace Fairlead.Limits;

/// <summary>Moves what a job holds in the database into the accounts of this process. Thread-safe.</summary>
internal sealed class JobMoney(LimitAccounts accounts, BudgetHolds holds)
{
    /// <summary>Takes the hold of a job of a stopped process into its reservation.</summary>
    /// <param name="generationId">The job.</param>
    /// <param name="reservation">Holds nothing yet.</param>
    /// <param name="caller">The caller of the job.</param>
    /// <param name="model">Its model.</param>
    /// <param name="amounts">What the job holds.</param>
    /// <param name="cancellationToken">Stops before the commit.</param>
    /// <returns>False if another process has the hold, or the job has ended.</returns>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    public async Task<bool> TryTakeAsync(string generationId, TokenReservation reservation, Caller caller, CatalogueModel model,
        LimitAmounts amounts, CancellationToken cancellationToken)
    {
        var limits = accounts.Of(caller, model, reservation.Class);
        var given = limits.Budgets.Where(budget => amounts.Of(budget.Name) > 0)
            .ToDictionary(budget => BudgetAccount.KeyOf(budget.Identity, reservation.AcceptedAt), budget => amounts.Of(budget.Name));
        if (!await holds.TakeAsync(generationId, [.. given.Select(one => (one.Key, one.Value))], cancellationToken)) return false;
        // A limit may have been added meanwhile; of that one nothing is held.
        while (!limits.Accounts.TryHoldGiven(reservation, Only(limits), amounts)) limits = accounts.Of(caller, model, reservation.Class);
        return true;

        AppliedLimits Only(AppliedLimits all) => all with
        {
            Budgets = [.. all.Budgets.Where(budget => given.ContainsKey(BudgetAccount.KeyOf(budget.Identity, reservation.AcceptedAt)))],
        };
    }
}
