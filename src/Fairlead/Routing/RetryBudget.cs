using Fairlead.Pipeline;

namespace Fairlead.Routing;

/// <summary>
/// Limits the retries at one deployment to a share of the calls that came to it in the last ten seconds, so that an outage is not
/// multiplied. A few are always allowed, for deployments with little traffic. Thread-safe; counting a call takes no lock.
/// </summary>
internal sealed class RetryBudget(TimeProvider time)
{
    /// <summary>Retries in ten seconds that are allowed without any calls.</summary>
    public const int Floor = 10;

    internal static readonly TimeSpan Window = TimeSpan.FromSeconds(10);

    private readonly RollingCounts _calls = new(Window, time);
    private readonly Lock _gate = new();

    /// <summary>Counts a call that comes to the deployment.</summary>
    public void AddCall() => _calls.Add();

    /// <summary>Takes a retry for an attempt that failed. Attempts that are sent together again need one for all of them.</summary>
    /// <param name="attempt">The attempt that failed.</param>
    /// <param name="share">Retries for each call, 0 or more.</param>
    public bool TryRetry(Attempt attempt, double share) => attempt.SharedRequest is { } request && !SharedRequest.MayBeOfContent(attempt)
        ? request.TryRetry(this, share) : TryRetry(share);

    /// <summary>Takes one retry; false if the budget is used up.</summary>
    /// <param name="share">Retries for each call, 0 or more.</param>
    public bool TryRetry(double share)
    {
        lock (_gate)
        {
            var (calls, retries) = _calls.Totals();
            if (retries >= Math.Max(Floor, share * calls)) return false;
            _calls.Mark();
            return true;
        }
    }
}
