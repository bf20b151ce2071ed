namespace Fairlead.Limits;

/// <summary>A budget of one period.</summary>
/// <param name="Scope">What it belongs to.</param>
/// <param name="OrganizationId">The payer.</param>
/// <param name="ScopeId">Id of the organization, project or key; for <see cref="LimitScope.Model"/> that of the organization.</param>
/// <param name="Model">The model's id for <see cref="LimitScope.Model"/>, else null.</param>
/// <param name="Class">The class whose calls alone it counts, or null.</param>
/// <param name="Name">One for which <see cref="LimitNames.IsBudget"/> holds.</param>
/// <param name="PeriodStart">The first moment of its day or month in UTC.</param>
internal readonly record struct BudgetKey(
    LimitScope Scope, string OrganizationId, string ScopeId, string? Model, string? Class, LimitName Name, DateTimeOffset PeriodStart);

/// <summary>A request for more of a budget. Amounts are tokens or picodollars.</summary>
/// <param name="Key">The budget.</param>
/// <param name="Limit">Its value in force.</param>
/// <param name="Minimum">What the waiting calls need at least; less is of no use.</param>
/// <param name="Wanted">What this node would use within a few seconds; at least <paramref name="Minimum"/>.</param>
internal readonly record struct BudgetNeed(BudgetKey Key, long Limit, long Minimum, long Wanted);

/// <summary>The response to a <see cref="BudgetNeed"/>.</summary>
/// <param name="Granted">
/// Added to the slice of this node: from the minimum to the wanted amount, or 0. On SQLite, which has one process, it may be more.
/// </param>
/// <param name="UsedElsewhere">What all calls of the period used that this process has not settled from its own slice.</param>
/// <param name="HeldElsewhere">
/// Slices of other nodes and of earlier processes that are not yet used or returned, and what jobs hold that no process has in its slice.
/// </param>
internal readonly record struct BudgetGrant(long Granted, long UsedElsewhere, long HeldElsewhere);

/// <summary>
/// Leases slices of budgets from the database, which is the truth: settled amounts and outstanding slices together never exceed a limit,
/// except by usage that was never reserved. Thread-safe.
/// </summary>
internal interface IBudgetLeases
{
    /// <summary>
    /// Asks for more of several budgets in one transaction. Before it grants nothing, it asks other nodes to return what they do not use.
    /// </summary>
    /// <returns>One grant for each need, in their order.</returns>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable, or the ledger is not up to date.</exception>
    /// <exception cref="Storage.StorageException">The database is unavailable, or it is unknown whether it has committed.</exception>
    Task<BudgetGrant[]> AcquireAsync(IReadOnlyList<BudgetNeed> needs, CancellationToken cancellationToken);

    /// <summary>Returns parts of slices that this node no longer uses. A failure is retried in the background.</summary>
    void Return(IReadOnlyList<(BudgetKey Key, long Amount)> unused);

    /// <summary>
    /// Usage of a call of this process, which has just ended, for which the slice was too small. It is used like that of other nodes: the
    /// slice keeps its amount. Must be called before the call's record is written.
    /// </summary>
    void AddUnpaid(BudgetKey key, long amount);
}

/// <summary>Holds the slices of this node. Implemented by the in-process accounts, called by the leases. Thread-safe.</summary>
internal interface IBudgetSlices
{
    /// <summary>Takes what is not in use out of the slice of a budget, so that it can be returned.</summary>
    /// <returns>What was taken; 0 if nothing is free or the budget is not known.</returns>
    long TakeUnused(BudgetKey key);

    /// <summary>Takes what has been unused for at least <paramref name="idle"/> out of all slices.</summary>
    IReadOnlyList<(BudgetKey Key, long Amount)> TakeIdle(TimeSpan idle);

    /// <summary>What calls and jobs have spent and hold of the slice of a budget since the process started.</summary>
    long TakenOf(BudgetKey key);

    /// <summary>What calls and jobs have reserved of budgets of money, in any order.</summary>
    IReadOnlyCollection<Pipeline.ReservedAmount> ReadHeld();
}
