using Fairlead.Access;
using Fairlead.Catalogue;

namespace Fairlead.Limits;

/// <summary>Moves what a job holds of budgets from the database into the lease and the accounts of this process. For one caller.</summary>
/// <param name="generationId">The job.</param>
/// <param name="reservation">Gets what the job holds. Holds nothing yet.</param>
/// <param name="caller">The caller of the job.</param>
/// <param name="model">Its model.</param>
/// <param name="amounts">What the job holds.</param>
/// <param name="given">What is moved of each budget. Does not change when limits are added meanwhile.</param>
internal sealed class HoldTransfer(
    string generationId, TokenReservation reservation, Caller caller, CatalogueModel model, LimitAmounts amounts,
    IReadOnlyDictionary<BudgetKey, long> given)
{
    public string GenerationId => generationId;

    public TokenReservation Reservation => reservation;

    public Caller Caller => caller;

    public CatalogueModel Model => model;

    public LimitAmounts Amounts => amounts;

    public IReadOnlyDictionary<BudgetKey, long> Given => given;

    /// <summary>
    /// Whether the database was asked to commit. Until a further try says whether it has, nobody knows whether the lease of this process
    /// has the hold.
    /// </summary>
    public bool MayHaveCommitted { get; set; }
}
