using Fairlead.Access;

namespace Fairlead.Limits;

/// <summary>Reads limits outside a call. Thread-safe.</summary>
internal interface ILimitReader
{
    /// <summary>The maximum number of limits in one response.</summary>
    const int MaxRows = 10_000;

    /// <summary>
    /// Every limit that a call of this caller may count against: of its key, project and organization, of every class, and those of its
    /// organization at every model. From memory, so budgets that this process has not used yet are left out.
    /// </summary>
    IReadOnlyList<LimitState> OfCaller(Caller caller);

    /// <summary>The same with all budgets, and with what all nodes have settled and reserved.</summary>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    Task<IReadOnlyList<LimitState>> OfCallerAsync(Caller caller, CancellationToken cancellationToken);

    /// <summary>The limits that a filter selects, of every class, with what all nodes have settled and reserved.</summary>
    /// <returns>Null if they are more than <see cref="MaxRows"/>.</returns>
    /// <exception cref="System.Data.Common.DbException">The database is unavailable.</exception>
    Task<IReadOnlyList<LimitState>?> OfAsync(LimitFilter filter, CancellationToken cancellationToken);
}

/// <summary>
/// Selects limits by what they belong to. The ids exist. Either one id is set, or <paramref name="Model"/>, or the organization and the
/// model.
/// </summary>
/// <param name="OrganizationId">The limits of this organization, and with it those at models.</param>
/// <param name="ProjectId">The limits of this project.</param>
/// <param name="KeyId">The limits of this key.</param>
/// <param name="Model">Only limits at this model of the catalogue; without an organization those of all organizations.</param>
internal readonly record struct LimitFilter(string? OrganizationId, string? ProjectId, string? KeyId, string? Model);
