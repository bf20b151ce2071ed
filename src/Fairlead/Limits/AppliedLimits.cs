namespace Fairlead.Limits;

/// <summary>
/// The limits that apply to the calls of a caller, of one class, to one model, as arrays that a call passes once. Resolved once for each
/// caller of a snapshot. The arrays are immutable; the counters in them are not.
/// </summary>
internal sealed record AppliedLimits : ICallLimits
{
    public required OrganizationAccounts Accounts { get; init; }

    public required RateBucket[] Rates { get; init; }

    public required ConcurrencyCounter[] Concurrency { get; init; }

    public required BudgetAccount[] Budgets { get; init; }

    /// <summary>The lowest limit on the input of one request, or null.</summary>
    public RequestLimit? InputPerRequest { get; init; }

    /// <summary>The lowest limit on the output of one request, or null.</summary>
    public RequestLimit? OutputPerRequest { get; init; }

    /// <summary>Counters of the organization when this was resolved.</summary>
    public int Version { get; init; }

    /// <summary>Whether any rate or concurrency applies.</summary>
    public bool HasRates => Rates.Length + Concurrency.Length > 0;

    public bool HasBudgets => Budgets.Length > 0;

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

    public LimitState[] Read() => Rates.Length + Concurrency.Length + Budgets.Length == 0 ? [] : Accounts.StatesOf(this);
}

/// <summary>A limit on the tokens of one request.</summary>
/// <param name="Scope">What it belongs to.</param>
/// <param name="Model">Only for <see cref="LimitScope.Model"/>.</param>
/// <param name="Class">The class that has this value, or null.</param>
/// <param name="Tokens">1 or more.</param>
internal sealed record RequestLimit(LimitScope Scope, string? Model, string? Class, long Tokens);
