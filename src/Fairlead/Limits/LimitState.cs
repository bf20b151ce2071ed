namespace Fairlead.Limits;

/// <summary>One limit at one moment, as <c>GET /v2/limits</c>, the headers and the refusals show it.</summary>
/// <param name="Name">Which limit.</param>
/// <param name="Scope">What it belongs to.</param>
/// <param name="ScopeId">Id of the organization, project or key; for <see cref="LimitScope.Model"/> that of the organization.</param>
/// <param name="Model">Only for <see cref="LimitScope.Model"/>.</param>
/// <param name="Class">The class whose calls alone it counts, or null.</param>
/// <param name="Limit">The value in force: the capacity of a bucket, the budget of a period. Tokens, requests or picodollars.</param>
/// <param name="Used">Settled.</param>
/// <param name="Reserved">Reserved by calls that run.</param>
/// <param name="Remaining">What the next call can use; 0 or more.</param>
/// <param name="WindowSeconds">The window of a rate, null for the others.</param>
/// <param name="ResetsAt">When it is full again if nothing is used until then; null for concurrency.</param>
internal readonly record struct LimitState(
    LimitName Name, LimitScope Scope, string ScopeId, string? Model, string? Class, long Limit, long Used, long Reserved, long Remaining,
    long? WindowSeconds, DateTimeOffset? ResetsAt)
{
    /// <summary>What <see cref="Limit"/> is without strain and without free room; null for a limit that does not move.</summary>
    public long? Base { get; init; }
}
