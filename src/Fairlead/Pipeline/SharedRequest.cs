using Fairlead.Errors;
using Fairlead.Routing;

namespace Fairlead.Pipeline;

/// <summary>
/// One request to a provider for several attempts, each of another call. What its end says about the deployment is counted once, however
/// many attempts share it. Thread-safe.
/// </summary>
internal sealed class SharedRequest
{
    private readonly Lock _gate = new();
    private Attempt? _reporter;
    private bool? _mayRetry;
    private TimeSpan? _delay;

    /// <summary>Whether this attempt reports the end of the request: the first one that asks.</summary>
    public bool TryReport(Attempt attempt) => (Interlocked.CompareExchange(ref _reporter, attempt, null) ?? attempt) == attempt;

    /// <summary>Takes one retry for all its attempts, because they are sent together again.</summary>
    public bool TryRetry(RetryBudget budget, double share)
    {
        lock (_gate) return _mayRetry ??= budget.TryRetry(share);
    }

    /// <summary>The wait of all its attempts before they are sent together again: that of the first one that asks.</summary>
    public TimeSpan DelayOf(TimeSpan own)
    {
        lock (_gate) return _delay ??= own;
    }

    /// <summary>
    /// Whether the failure of an attempt may have been caused by what its request contained. A limit, an overload, a rejected key and a
    /// missing connection are not.
    /// </summary>
    public static bool MayBeOfContent(Attempt attempt) =>
        attempt.Error is not null && attempt.Sent && !attempt.HasOtherKey && attempt.UpstreamStatus is not (429 or 503 or 529)
        && attempt.Error.Code != ErrorCode.RateLimitExceeded;
}
