using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Routing;
using Fairlead.Scheduling;
using Fairlead.Scheduling.Quotas;
using Fairlead.Tests.Routing;

namespace Fairlead.Tests.Scheduling;

/// <summary>No call waits for deployments that are all closed, and a slot that was not used leaves nothing behind.</summary>
public sealed class ClosedDeploymentTests : IDisposable
{
    private readonly Fairlead.Catalogue.Deployment _one = VirtualQueue.At("p/1", 1);
    private readonly Fairlead.Catalogue.Deployment _two = VirtualQueue.At("p/2", 1);
    private readonly Closed _closed = new();
    private readonly SchedulerWorld _world;

    public ClosedDeploymentTests()
    {
        _world = new SchedulerWorld(SchedulerWorld.ModelOf("m", _one, _two));
        _world.Slots.Availability = _closed;
        Assert.True(_world.Slots.TryTake(_one));
        Assert.True(_world.Slots.TryTake(_two));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _world.Dispose();

    [Fact]
    public async Task AvailabilityChanged_AllClosed_EndsTheWaitAtOnce()
    {
        var (both, first, second) = (Wait(_one, _two), Wait(_one), Wait(_two));
        Close(_one);
        Assert.Equal(default, await first);
        Assert.False(both.IsCompleted);
        Close(_two);
        Assert.Equal(default, await second);
        Assert.Equal(default, await both);
        Assert.Empty(_world.Slots.Lengths());
    }

    [Fact]
    public async Task WaitAsync_AllClosed_DoesNotWait()
    {
        Close(_one);
        Assert.Equal(default, await Wait(_one));
        var both = Wait(_one, _two);
        _world.Slots.GiveBack(_two);
        Assert.Equal(_two, (await both).Deployment);
    }

    [Fact]
    public async Task AvailabilityChanged_OpenAgain_ServesCallsThatWait()
    {
        var waiting = Wait(_one, _two);
        Close(_one);
        Open(_one);
        _world.Slots.GiveBack(_one);
        Assert.Equal(_one, (await waiting).Deployment);
    }

    /// <summary>A call that could not use its slot does not wait behind those that came after it.</summary>
    [Fact]
    public async Task WaitAsync_LostSlot_KeepsItsPlace()
    {
        var call = _world.CallOf(_world.Models[0]);
        var waiting = _world.Scheduler.WaitAsync(call, [_one, _two], Cancel).AsTask();
        var others = Enumerable.Range(0, 5).Select(_ => Wait(_one, _two)).ToList();
        _world.Slots.GiveBack(_one);
        Assert.Equal(_one, (await waiting).Deployment);
        Close(_one);
        _world.Scheduler.LoseSlot(call, _one);
        waiting = _world.Scheduler.WaitAsync(call, [_one, _two], Cancel).AsTask();
        Assert.All(others, other => Assert.False(other.IsCompleted));
        // Its place is in its class: it does not go before a higher one.
        var urgent = _world.CallOf(_world.Models[0]);
        urgent.Class = CallClasses.Realtime;
        var first = _world.Scheduler.WaitAsync(urgent, [_one, _two], Cancel).AsTask();
        _world.Slots.GiveBack(_two);
        Assert.Equal(_two, (await first).Deployment);
        Assert.False(waiting.IsCompleted);
        _world.Slots.GiveBack(_two);
        Assert.Equal(_two, (await waiting).Deployment);
        Assert.All(others, other => Assert.False(other.IsCompleted));
    }

    /// <summary>A slot of a closed deployment goes to nobody. Otherwise one slot would flush the queue, and void its order.</summary>
    [Fact]
    public async Task GiveBack_Closed_LeavesTheQueueAsItIs()
    {
        var bulk = Enumerable.Range(0, 3).Select(_ => WaitOf(CallClasses.Bulk)).ToList();
        Close(_one);
        _world.Slots.GiveBack(_one);
        Assert.All(bulk, call => Assert.False(call.IsCompleted));
        var realtime = WaitOf(CallClasses.Realtime);
        _world.Slots.GiveBack(_two);
        Assert.Equal(_two, (await realtime).Deployment);
        Assert.All(bulk, call => Assert.False(call.IsCompleted));
        // They still wait for both.
        Open(_one);
        Assert.Equal(_one, (await bulk[0]).Deployment);
        Assert.False(bulk[1].IsCompleted);
    }

    /// <summary>One call that waits makes the test when it is due, and no call has to arrive for that.</summary>
    [Fact]
    public async Task GiveBack_Open_OneCallTestsWhenThatIsDue()
    {
        var wide = VirtualQueue.At("p/wide", 3);
        for (var i = 0; i < 3; i++) Assert.True(_world.Slots.TryTake(wide));
        var waits = Enumerable.Range(0, 3).Select(_ => Wait(wide, _two)).ToList();
        Close(wide, TimeSpan.FromSeconds(10));
        for (var i = 0; i < 3; i++) _world.Slots.GiveBack(wide);
        _world.Time.Advance(TimeSpan.FromSeconds(9));
        Assert.All(waits, wait => Assert.False(wait.IsCompleted));
        _closed.Tests[wide.Name] = TimeSpan.Zero;
        _world.Time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(wide, (await waits[0]).Deployment);
        Assert.Equal(1, _world.Slots.TakenAt(wide.Name));
        Assert.All(waits.Skip(1), wait => Assert.False(wait.IsCompleted));
    }

    /// <summary>What the provider's own limits have no room for is not the fault of the deployment.</summary>
    [Fact]
    public async Task WaitAsync_TestIsDueButHeld_IsRefusedLikeARateLimit()
    {
        _world.Slots.GiveBack(_one);
        Close(_one, TimeSpan.Zero);
        Report(requests: 0, TimeSpan.FromSeconds(20));
        var refused = await Wait(_one);
        Assert.Equal((ErrorCode.RateLimitExceeded, 20), (refused.Error!.Code, Math.Round(refused.Error.RetryAfter!.Value.TotalSeconds)));
        _closed.Tests[_one.Name] = TimeSpan.FromSeconds(1);
        Assert.Equal(default, await Wait(_one));
    }

    /// <summary>The deployment returns between the refusal and its reason.</summary>
    [Fact]
    public void AddClosed_NotClosedAnyMore_IsNoReason()
    {
        using var routing = new RoutingWorld();
        var availability = routing.AvailabilityOf(_world.Slots, _world);
        var search = new DeploymentSearch(AttemptReasons.Only);
        search.AddFull(_one, 0);
        Assert.False(availability.AddClosed(search, mayWaitAgain: true));
        Assert.False(search.HasDrained);
        Assert.Null(search.UntilTest);
        routing.States.Replace([_one.Name]);
        Assert.True(availability.AddClosed(search, mayWaitAgain: true));
        Assert.True(search.IsAllDrained);
    }

    /// <summary>The provider's own limits have room for one call. A slot that was not used leaves it to the next one.</summary>
    [Fact]
    public void GiveBack_SlotNotUsed_ReturnsTheRoomOfTheProvidersLimits()
    {
        _world.Slots.GiveBack(_one);
        Report(requests: 1);
        var (first, second) = (_world.CallOf(_world.Models[0]), _world.CallOf(_world.Models[0]));
        Assert.True(_world.Scheduler.TryTake(first, _one));
        _world.Scheduler.GiveBack(first, _one);
        Assert.True(_world.Scheduler.TryTake(second, _one));
        _world.Slots.GiveBack(_one);
        Assert.False(_world.Scheduler.TryTake(first, _one));
    }

    [Fact]
    public async Task WaitAsync_Cancelled_ReturnsTheRoomOfTheProvidersLimits()
    {
        Report(requests: 1);
        using var leaves = new CancellationTokenSource();
        var waiting = _world.Scheduler.WaitAsync(_world.CallOf(_world.Models[0]), [_one], leaves.Token).AsTask();
        // Granted while its client leaves: whichever is seen first, the room is there for the next call.
        await leaves.CancelAsync();
        _world.Slots.GiveBack(_one);
        try
        {
            await waiting;
            Assert.Fail("The client left.");
        }
        catch (OperationCanceledException)
        {
            Assert.True(_world.Scheduler.TryTake(_world.CallOf(_world.Models[0]), _one));
        }
    }

    private void Report(int requests, TimeSpan? reset = null) => _world.Slots.QuotaOf(_one).Report(0, _world.Time.GetTimestamp(),
        new ReportedLimits { Requests = new ReportedLimit(requests, null, reset ?? TimeSpan.FromMinutes(5)) });

    private Task<SlotWait> WaitOf(string @class)
    {
        var call = _world.CallOf(_world.Models[0]);
        call.Class = @class;
        return _world.Scheduler.WaitAsync(call, [_one, _two], Cancel).AsTask();
    }

    private Task<SlotWait> Wait(params Fairlead.Catalogue.Deployment[] deployments) =>
        _world.Scheduler.WaitAsync(_world.CallOf(_world.Models[0]), deployments, Cancel).AsTask();

    private void Open(Fairlead.Catalogue.Deployment deployment)
    {
        _closed.Tests.Remove(deployment.Name);
        _world.Slots.AvailabilityChanged(deployment.Name);
    }

    private void Close(Fairlead.Catalogue.Deployment deployment, TimeSpan? untilTest = null)
    {
        _closed.Tests[deployment.Name] = untilTest ?? TimeSpan.MaxValue;
        _world.Slots.AvailabilityChanged(deployment.Name);
    }

    private sealed class Closed : IDeploymentAvailability
    {
        public Dictionary<string, TimeSpan> Tests { get; } = [];

        public bool IsClosed(string deployment) => Tests.ContainsKey(deployment);

        public TimeSpan UntilServed(string deployment) => Tests.GetValueOrDefault(deployment);
    }
}
