using Fairlead.Catalogue;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Routing;

/// <summary>
/// What a call found at the deployments that it has passed, and the error that follows from it. Belongs to the flow of its call.
/// </summary>
/// <param name="firstReason">Why the first deployment of the order is first.</param>
internal sealed class DeploymentSearch(string firstReason)
{
    private TimeSpan? _shortestWait;

    // Whether the call was sent to a deployment, or waited for one.
    private bool _hasTried;

    // Whether Last says what became of the call, and not that one deployment does not work.
    private bool _isLastFinal;

    /// <summary>The error that helps the client most so far; null for none.</summary>
    public GatewayError? Last { get; set; }

    /// <summary>Those without a free slot, with the retries that they had; null if all had one.</summary>
    public List<(Deployment Deployment, int Retries)>? Full { get; private set; }

    /// <summary>The time until the first test of those that are open; null if none is.</summary>
    public TimeSpan? UntilTest { get; private set; }

    /// <summary>Whether the last attempt found that the request does not fit the model.</summary>
    public bool IsTooLarge { get; set; }

    /// <summary>Whether a deployment that the call may use is drained.</summary>
    public bool HasDrained { get; private set; }

    /// <summary>Whether drained deployments are the reason why the call cannot be served: nothing else was tried.</summary>
    public bool IsAllDrained => HasDrained && UntilTest is null && !_hasTried && Last is not { IsRetryable: true };

    /// <summary>
    /// Whether open deployments are the reason why the call cannot be served: no other one was tried, or only such as do not work.
    /// </summary>
    public bool IsAllOpen => UntilTest is not null && !_isLastFinal && Last is not { IsRetryable: true };

    /// <summary>A deployment is open.</summary>
    public void AddOpen(TimeSpan untilTest) => UntilTest = Shorter(UntilTest, untilTest);

    /// <summary>A deployment is drained.</summary>
    public void AddDrained() => HasDrained = true;

    /// <summary>A deployment will be tested after this time: the call may be repeated then.</summary>
    public void AddTest(TimeSpan untilTest) => _shortestWait = Shorter(_shortestWait, untilTest);

    /// <summary>A deployment has no free slot.</summary>
    public void AddFull(Deployment deployment, int retries) => (Full ??= []).Add((deployment, retries));

    /// <summary>No slot became free. An error of an attempt that may pass helps the client more than that.</summary>
    public void AddNoSlot(GatewayError error)
    {
        _hasTried = true;
        if (Last is { IsRetryable: true }) return;
        Last = error;
        _isLastFinal = true;
    }

    /// <summary>An attempt failed.</summary>
    public void AddFailed(GatewayReply.AttemptFailed failure)
    {
        // An error that only the operator can fix does not replace an error that may pass at another deployment.
        _hasTried = true;
        if (Last is not { IsRetryable: true } || failure.Error.IsRetryable || failure.Class == FailureClass.GiveBack)
        {
            Last = failure.Error;
            _isLastFinal = failure.Class == FailureClass.GiveBack;
        }
        if (failure.Class != FailureClass.GiveBack && failure.Error.RetryAfter is { } wait) _shortestWait = Shorter(_shortestWait, wait);
    }

    /// <summary>Those without a free slot, in the order in which they were passed.</summary>
    public Deployment[] FullDeployments() => [.. Full!.Select(entry => entry.Deployment)];

    /// <summary>Takes a deployment off the full ones, because the call has its slot.</summary>
    /// <returns>The retries that it had there.</returns>
    public int RemoveFull(Deployment deployment)
    {
        var index = Full!.FindIndex(entry => ReferenceEquals(entry.Deployment, deployment));
        var retries = Full[index].Retries;
        Full.RemoveAt(index);
        return retries;
    }

    /// <summary>Why the next attempt is made at a deployment.</summary>
    /// <param name="call">The call, with the new attempt.</param>
    /// <param name="visit">How the call came there.</param>
    /// <param name="isTest">Whether the deployment is open.</param>
    /// <param name="retries">Attempts that it had there.</param>
    public string ReasonOf(GatewayCall call, in DeploymentVisit visit, bool isTest, int retries) =>
        isTest ? AttemptReasons.Test
            : retries > 0 ? AttemptReasons.Retry
            : visit.HasWaited ? AttemptReasons.Queue
            : AttemptReasons.AfterOthers(call)
                ?? (visit.IsFirst ? firstReason
                    : UntilTest is not null ? AttemptReasons.BreakerOpen
                    : HasDrained ? AttemptReasons.Drained
                    : Full is not null ? AttemptReasons.Full
                    : AttemptReasons.Unsupported);

    /// <summary>The error of a call for which no deployment is left.</summary>
    /// <param name="model">Name of its model.</param>
    public GatewayError ToError(string model)
    {
        if (IsAllOpen) return RoutingErrors.AllOpen(model, UntilTest!.Value, _hasTried);
        if (IsAllDrained) return RoutingErrors.AllDrained(model);
        if (Last is not { } last) return GatewayError.ModelNotFound(model);
        // A deployment that is tested sooner may serve the call when it is repeated.
        var advised = UntilTest is { } untilTest ? Shorter(_shortestWait, untilTest) : _shortestWait;
        return advised is { } wait && last.IsRetryable ? last with { RetryAfter = wait } : last;
    }

    private static TimeSpan Shorter(TimeSpan? one, TimeSpan other) => one < other ? one.Value : other;
}
