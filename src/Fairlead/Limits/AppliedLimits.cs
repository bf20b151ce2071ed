using Fairlead.Limits.Elastic;

namespace Fairlead.Limits;

/// <summary>
/// The limits that apply to the calls of a caller, of one class, to one model, as arrays that a call passes once. Resolved once for each
/// caller of a snapshot. The arrays are immutable; the counters in them, and <see cref="Held"/>, are not.
/// </summary>
internal sealed record AppliedLimits : ICallLimits
{
    public required OrganizationAccounts Accounts { get; init; }

    public required RateBucket[] Rates { get; init; }

    public required ConcurrencyCounter[] Concurrency { get; init; }

    public required BudgetAccount[] Budgets { get; init; }

    /// <summary>Where they are declared: of the organization, the project, the key and the model.</summary>
    public required LimitGroup[] Groups { get; init; }

    /// <summary>The lowest limit on the input of one request, or null.</summary>
    public RequestLimit? InputPerRequest { get; init; }

    /// <summary>The lowest limit on the output of one request, or null.</summary>
    public RequestLimit? OutputPerRequest { get; init; }

    /// <summary>Versions of the groups together when this was resolved.</summary>
    public required int Version { get; init; }

    /// <summary>Where elastic limits stand for these calls; null if none of the limits is elastic.</summary>
    public ElasticLevel? Level { get; init; }

    /// <summary>Whether any rate or concurrency applies.</summary>
    public bool HasRates => Rates.Length + Concurrency.Length > 0;

    public bool HasBudgets => Budgets.Length > 0;

    /// <summary>Whether a budget of money applies.</summary>
    public required bool HasMoney { get; init; }

    /// <summary>What the calls to which these limits apply hold. Guarded by the lock of the organization.</summary>
    public HeldAmounts? Held { get; set; }

    /// <summary>Whether its counters count no more, so that it must be resolved again. May be read without the lock.</summary>
    public bool IsDropped
    {
        get
        {
            foreach (var group in Groups)
            {
                if (group.IsDropped) return true;
            }
            return false;
        }
    }

    /// <summary>
    /// Whether no limit was added to the groups since this was resolved. A version only grows, so equal sums are equal versions. Needs the
    /// lock of the organization.
    /// </summary>
    public bool IsComplete
    {
        get
        {
            var version = 0;
            foreach (var group in Groups) version += group.Version;
            return version == Version;
        }
    }

    /// <summary>The smallest capacity of the buckets of output tokens; null if there is none.</summary>
    public long? OutputCapacity
    {
        get
        {
            long? least = null;
            foreach (var bucket in Rates)
            {
                if (bucket.Name == LimitName.OutputTokensPerMinute && (least is null || bucket.Capacity < least)) least = bucket.Capacity;
            }
            return least;
        }
    }

    /// <summary>
    /// Puts the factors of elastic limits in force for a call. The capacity of limits shared by several models or classes has the factor of
    /// the call, so this is done before each reservation.
    /// </summary>
    public void Adapt()
    {
        if (Level is not null) Accounts.Adapt(this);
    }

    /// <summary>The same with the lock of the organization.</summary>
    public void Adapt(long now)
    {
        if (Level is not { } level) return;
        foreach (var bucket in Rates) bucket.Adapt(level, now);
        foreach (var counter in Concurrency) counter.Adapt(level, now);
    }

    /// <summary>Whether rates and concurrency allow the amounts now. Needs the lock of the organization.</summary>
    public bool CanTakeRates(in LimitAmounts amounts, long now)
    {
        foreach (var bucket in Rates)
        {
            if (!bucket.CanTake(amounts.Of(bucket.Name), now)) return false;
        }
        foreach (var counter in Concurrency)
        {
            if (!counter.CanTake) return false;
        }
        return true;
    }

    /// <summary>Counts a reservation of rates or of money. Needs the lock of the organization.</summary>
    /// <param name="change">1 when it is made, -1 when it is settled.</param>
    /// <param name="now">Timestamp.</param>
    public void CountOpen(int change, long now)
    {
        foreach (var group in Groups)
        {
            group.Open += change;
            group.UsedAt = now;
        }
    }

    public LimitState[] Read() => Rates.Length + Concurrency.Length + Budgets.Length == 0 ? [] : Accounts.States.Of(this);
}

/// <summary>A limit on the tokens of one request.</summary>
/// <param name="Scope">What it belongs to.</param>
/// <param name="Model">Only for <see cref="LimitScope.Model"/>.</param>
/// <param name="Class">The class that has this value, or null.</param>
/// <param name="Tokens">1 or more.</param>
internal sealed record RequestLimit(LimitScope Scope, string? Model, string? Class, long Tokens);
