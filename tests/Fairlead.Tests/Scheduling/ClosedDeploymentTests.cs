using Fairlead.Scheduling;
using Fairlead.Scheduling.Quotas;

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
        _closed.Names.Clear();
        _world.Slots.AvailabilityChanged(_one.Name);
        _world.Slots.GiveBack(_one);
        Assert.Equal(_one, (await waiting).Deployment);
    }

    /// <summary>A call that could not use its slot does not wait behind those that came after it.</summary>
    [Fact]
    public async Task WaitAsync_LostSlot_KeepsItsPlace()
    {
        var call = _world.CallOf(_world.Models[0]);
        call.Turn = new SchedulingTurn { HasLostSlot = true };
        var others = Enumerable.Range(0, 5).Select(_ => Wait(_two)).ToList();
        var waiting = _world.Scheduler.WaitAsync(call, [_two], Cancel).AsTask();
        _world.Slots.GiveBack(_two);
        Assert.Equal(_two, (await waiting).Deployment);
        Assert.All(others, other => Assert.False(other.IsCompleted));
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

    private void Report(int requests) => _world.Slots.QuotaOf(_one).Report(0, _world.Time.GetTimestamp(),
        new ReportedLimits { Requests = new ReportedLimit(requests, null, TimeSpan.FromMinutes(5)) });

    private Task<SlotWait> Wait(params Fairlead.Catalogue.Deployment[] deployments) =>
        _world.Scheduler.WaitAsync(_world.CallOf(_world.Models[0]), deployments, Cancel).AsTask();

    private void Close(Fairlead.Catalogue.Deployment deployment)
    {
        _closed.Names.Add(deployment.Name);
        _world.Slots.AvailabilityChanged(deployment.Name);
    }

    private sealed class Closed : IDeploymentAvailability
    {
        public HashSet<string> Names { get; } = [];

        public bool IsClosed(string deployment) => Names.Contains(deployment);
    }
}
