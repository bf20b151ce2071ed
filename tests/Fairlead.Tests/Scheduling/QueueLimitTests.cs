using Fairlead.Scheduling;

namespace Fairlead.Tests.Scheduling;

/// <summary>How many calls may wait, who has to leave, and what is expected of the wait.</summary>
public sealed class QueueLimitTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly VirtualQueue _queue = new() { Settings = new SchedulingConfig { MaxQueued = new QueueLengths { Realtime = 1, Standard = 4, Bulk = 0 } } };
    private readonly Fairlead.Catalogue.Deployment _one = VirtualQueue.At("p/m", 1);

    public QueueLimitTests() => Assert.True(_queue.Slots.TryTake(_one));

    [Fact]
    public void Enter_QueueFull_RefusesNewcomerOfLargestOrganization()
    {
        var waiting = Enumerable.Range(0, 4).Select(_ => Send("a")).ToList();
        var refused = Send("a");
        Assert.All(waiting, call => Assert.Equal(QueueState.Waiting, call.State));
        Assert.Equal((QueueState.Refused, QueueRefusal.Full, 4), (refused.State, refused.Refusal, refused.Queued));
        Assert.Equal(QueueState.Refused, Send("a", rank: 2).State);
        Assert.Equal(QueueState.Waiting, Send("a", rank: 0).State);
    }

    [Fact]
    public void Enter_QueueFullOfOneOrganization_QuietOneTakesItsNewestPlace()
    {
        var waiting = Enumerable.Range(0, 4).Select(_ => Send("a")).ToList();
        var quiet = Send("b");
        Assert.Equal(QueueState.Waiting, quiet.State);
        Assert.Equal(
            [QueueState.Waiting, QueueState.Waiting, QueueState.Waiting, QueueState.Refused], waiting.Select(call => call.State));
        // Both have the same share: two places each.
        Assert.Equal(QueueState.Waiting, Send("b").State);
        Assert.Equal(QueueState.Refused, Send("b").State);
        Assert.Equal((QueueState.Waiting, QueueState.Refused), (waiting[1].State, waiting[2].State));
    }

    [Fact]
    public void Enter_QueueFull_JobsAndFailoversStillEnter()
    {
        foreach (var _ in Enumerable.Range(0, 4)) Send("a");
        Assert.Equal(QueueState.Waiting, _queue.Send(_queue.NewCall("a", [_one], Second, isRun: true)).State);
        Assert.Equal(QueueState.Waiting, _queue.Send(_queue.NewCall("a", [_one], Second, isReturning: true)).State);
    }

    /// <summary>Runs of one model, organization and class have a quarter of the workers, and all of them together leave one.</summary>
    [Fact]
    public void Enter_RunsOfJobs_LeaveWorkersForOthers()
    {
        Assert.Equal([true, true, false], Enumerable.Range(0, 3).Select(_ => Waits("a")));
        Assert.Equal([true, true, false], Enumerable.Range(0, 3).Select(_ => Waits("a", rank: 2)));
        Assert.Equal([true, true, false], Enumerable.Range(0, 3).Select(_ => Waits("a", model: "n")));
        // Seven of eight.
        Assert.Equal([true, false], Enumerable.Range(0, 2).Select(_ => Waits("b")));
        // A run that had a slot keeps its worker.
        Assert.True(Waits("b", isReturning: true));

        bool Waits(string organization, int rank = 1, string model = "m", bool isReturning = false)
        {
            var run = _queue.Send(_queue.NewCall(
                organization, [_one], Second, rank, model: model, isRun: true, isReturning: isReturning, workers: 8));
            if (run.State == QueueState.Refused) Assert.Equal(QueueRefusal.NoPlace, run.Refusal);
            return run.State == QueueState.Waiting;
        }
    }

    /// <summary>A run that was postponed does not lose the time for which it has waited.</summary>
    [Fact]
    public void Enter_RunThatWaitedBefore_HasAged()
    {
        var standard = Send("a");
        var bulk = _queue.Send(_queue.NewCall("b", [_one], Second, rank: 2, isRun: true, waitedBefore: TimeSpan.FromSeconds(61)));
        _queue.Slots.GiveBack(_one);
        Assert.Equal((QueueState.Waiting, QueueState.Granted), (standard.State, bulk.State));
    }

    [Fact]
    public void ExpectedWait_KnownHoldingTime_CountsCallsBeforeIt()
    {
        Assert.Null(_queue.Slots.ExpectedWaitOf(Send("a")));
        _queue.Slots.GiveBack(_one, TimeSpan.FromSeconds(10));
        // The first call runs now, and the next ones wait for a slot that becomes free every 10 s.
        Assert.Equal(10, Expected(Send("a")));
        Assert.Equal(20, Expected(Send("a")));
        // Another organization is next after the first call of this one.
        Assert.Equal(20, Expected(Send("b")));
        // A higher class overtakes all.
        Assert.Equal(10, Expected(Send("a", rank: 0)));
    }

    [Fact]
    public void Enter_DeadlineBeforeExpectedWait_IsRefusedAtOnce()
    {
        Send("a");
        _queue.Slots.GiveBack(_one, TimeSpan.FromSeconds(10));
        var late = _queue.Send(_queue.NewCall("a", [_one], Second, timeLeft: TimeSpan.FromSeconds(9)));
        Assert.Equal((QueueState.Refused, QueueRefusal.Deadline), (late.State, late.Refusal));
        Assert.Equal(TimeSpan.FromSeconds(10), late.ExpectedWait);
        Assert.Equal(QueueState.Waiting, _queue.Send(_queue.NewCall("a", [_one], Second, timeLeft: TimeSpan.FromSeconds(11))).State);
    }

    /// <summary>Nothing is known of a deployment at which no attempt has ended: it may be free in a moment.</summary>
    [Fact]
    public void Enter_OneDeploymentWithoutAnEndedAttempt_IsNotRefusedForItsDeadline()
    {
        var other = VirtualQueue.At("p/other", 1);
        Assert.True(_queue.Slots.TryTake(other));
        Send("a");
        _queue.Slots.GiveBack(_one, TimeSpan.FromMinutes(10));
        var call = _queue.Send(_queue.NewCall("a", [_one, other], Second, timeLeft: Second));
        Assert.Equal(QueueState.Waiting, call.State);
        Assert.Null(_queue.Slots.ExpectedWaitOf(call));
    }

    /// <summary>The estimate looks at all lines, so a flood of calls must not compute it for each.</summary>
    [Fact]
    public void Enter_CallThatMayWait_ComputesNoEstimate()
    {
        Send("a");
        _queue.Slots.GiveBack(_one, TimeSpan.FromSeconds(10));
        Assert.Null(Send("a").ExpectedWait);
        Assert.NotNull(_queue.Send(_queue.NewCall("a", [_one], Second, timeLeft: TimeSpan.FromHours(1))).ExpectedWait);
    }

    private double Expected(SimulatedCall call) => Math.Round(_queue.Slots.ExpectedWaitOf(call)!.Value.TotalSeconds, 3);

    private SimulatedCall Send(string organization, int rank = 1) => _queue.Send(_queue.NewCall(organization, [_one], Second, rank));
}
