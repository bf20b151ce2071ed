using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Routing;

namespace Fairlead.Tests.Routing;

/// <summary>Which error a call gets for which no deployment is left, and when it should be repeated.</summary>
public sealed class DeploymentSearchTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly DeploymentSearch _search = new(AttemptReasons.Priority);

    [Fact]
    public void ToError_AllOpen_HasTheTimeOfTheFirstTest()
    {
        _search.AddOpen(7 * Second);
        _search.AddOpen(3 * Second);
        Assert.True(_search.IsAllOpen);
        var error = _search.ToError("m");
        Assert.Equal((ErrorCode.ProviderUnavailable, 3 * Second), (error.Code, error.RetryAfter!.Value));
    }

    [Fact]
    public void ToError_FailedAndOpen_AdvisesTheEarlierOfWaitAndTest()
    {
        Fail(ErrorCode.ProviderError, 20 * Second);
        _search.AddOpen(5 * Second);
        Assert.Equal((ErrorCode.ProviderError, 5 * Second), ErrorOf());
        Fail(ErrorCode.ProviderError, 2 * Second);
        Assert.Equal((ErrorCode.ProviderError, 2 * Second), ErrorOf());
    }

    [Fact]
    public void ToError_BreakerOpenedByTheCall_AdvisesItsFirstTest()
    {
        Fail(ErrorCode.ProviderError, null);
        Assert.Null(_search.ToError("m").RetryAfter);
        _search.AddTest(10 * Second);
        Assert.Equal((ErrorCode.ProviderError, 10 * Second), ErrorOf());
    }

    [Fact]
    public void ToError_Drained_IsNamedOnlyIfNothingElseIsTheReason()
    {
        _search.AddDrained();
        Assert.True(_search.IsAllDrained);
        var error = _search.ToError("m");
        Assert.Equal((ErrorCode.ProviderUnavailable, "drained"), (error.Code, (string?)error.Details!["reason"]));
        Assert.True(error.IsRetryable);
        _search.AddOpen(Second);
        Assert.False(_search.IsAllDrained);
        Assert.Null(_search.ToError("m").Details);
        Fail(ErrorCode.ProviderTimeout, null);
        Assert.Equal(ErrorCode.ProviderTimeout, _search.ToError("m").Code);
    }

    /// <summary>What became of the call is not replaced: neither a rejection that was charged, nor a wait that was in vain.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ToError_RejectedOrNoSlotBesideClosedOnes_IsThatOfTheCall(bool isDrained)
    {
        if (isDrained) _search.AddDrained();
        else _search.AddOpen(Second);
        Fail(ErrorCode.ProviderRejected, null, FailureClass.GiveBack);
        Assert.False(_search.IsAllDrained || _search.IsAllOpen);
        Assert.Equal(ErrorCode.ProviderRejected, _search.ToError("m").Code);

        var waited = new DeploymentSearch(AttemptReasons.Priority);
        if (isDrained) waited.AddDrained();
        else waited.AddOpen(Second);
        waited.AddNoSlot(new GatewayError(ErrorCode.DeadlineExceeded, "too late") { Retryable = false });
        Assert.Equal(ErrorCode.DeadlineExceeded, waited.ToError("m").Code);
    }

    /// <summary>Only its operator can repair the other one: a deployment that is open returns sooner, a drained one does not.</summary>
    [Fact]
    public void ToError_OtherOneIsMisconfigured_AdvisesTheTestButNotADrainedOne()
    {
        _search.AddDrained();
        Fail(ErrorCode.ProviderError, null, FailureClass.Failover, retryable: false);
        Assert.False(_search.IsAllDrained);
        Assert.Equal(ErrorCode.ProviderError, _search.ToError("m").Code);
        _search.AddOpen(3 * Second);
        Assert.Equal((ErrorCode.ProviderUnavailable, 3 * Second), ErrorOf());
        Assert.DoesNotContain("all of them", _search.ToError("m").Message, StringComparison.Ordinal);
    }

    private (ErrorCode Code, TimeSpan Wait) ErrorOf() => (_search.ToError("m").Code, _search.ToError("m").RetryAfter!.Value);

    private void Fail(ErrorCode code, TimeSpan? wait, FailureClass @class = FailureClass.Retry, bool? retryable = null) =>
        _search.AddFailed(new GatewayReply.AttemptFailed(new GatewayError(code, "failed") { RetryAfter = wait, Retryable = retryable }, @class));
}
