using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Scheduling;

namespace Fairlead.Tests.Scheduling;

/// <summary>How calls wait, and what they are charged at the end.</summary>
public sealed class SchedulerTests : IDisposable
{
    private readonly Deployment _one = VirtualQueue.At("p/1", 1);
    private readonly Deployment _two = VirtualQueue.At("p/2", 1);
    private readonly CatalogueModel _model;
    private readonly SchedulerWorld _world;

    public SchedulerTests()
    {
        _model = SchedulerWorld.ModelOf("m", _one, _two);
        _world = new SchedulerWorld(_model);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private Scheduler Scheduler => _world.Scheduler;

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData(8, 30)]
    [InlineData(1, 1)]
    public async Task WaitAsync_RunOfAJob_IsPostponedAfterItsLongestWait(int workers, int seconds)
    {
        Assert.True(_world.Slots.TryTake(_one));
        var run = RunOf(workers);
        var waiting = Scheduler.WaitAsync(run, [_one], Cancel).AsTask();
        await _world.Time.TimerAsync(TimeSpan.FromSeconds(seconds), Cancel);
        Assert.False(waiting.IsCompleted);
        _world.Time.Advance(TimeSpan.FromSeconds(seconds));
        Assert.Equal(ErrorCode.ProviderUnavailable, (await waiting).Error!.Code);
        Assert.Equal(TimeSpan.FromSeconds(1), run.QueuedRun!.Postponed!.Value.Pause);
        Assert.Empty(_world.Slots.Lengths());
    }

    [Fact]
    public async Task WaitAsync_MoreRunsThanMayWait_PostponesTheRestAtOnce()
    {
        Assert.True(_world.Slots.TryTake(_one));
        var left = new List<GatewayCall>();
        Scheduler.RunLeft += left.Add;
        var runs = Enumerable.Range(0, 8).Select(_ => RunOf()).ToList();
        var waits = runs.ConvertAll(run => Scheduler.WaitAsync(run, [_one], Cancel).AsTask());
        Assert.Equal(2, waits.Count(wait => !wait.IsCompleted));
        Assert.All(runs.Skip(2), run => Assert.True(run.QueuedRun!.Postponed!.Value.LinePause > TimeSpan.FromSeconds(1)));
        Assert.Empty(left);
        // One that leaves its place is reported, so that another one can wait there.
        _world.Slots.GiveBack(_one);
        Assert.Equal(_one, (await waits[0]).Deployment);
        Assert.Equal([runs[0]], left);
        Assert.Null(runs[0].QueuedRun!.Postponed);
    }

    [Fact]
    public async Task WaitAsync_RunWithDeadlineBeforeThePause_IsNotPostponed()
    {
        Assert.True(_world.Slots.TryTake(_one));
        var runs = Enumerable.Range(0, 3).Select(_ => RunOf()).ToList();
        runs[2].Deadline = _world.Time.GetUtcNow().AddMilliseconds(500);
        var waits = runs.ConvertAll(run => Scheduler.WaitAsync(run, [_one], Cancel).AsTask());
        Assert.Equal(ErrorCode.ProviderUnavailable, (await waits[2]).Error!.Code);
        Assert.Null(runs[2].QueuedRun!.Postponed);
    }

    /// <summary>The settings of the newest catalogue are in force for calls that started before it.</summary>
    [Fact]
    public async Task WaitAsync_CallWithAnOlderCatalogue_WaitsByTheNewestSettings()
    {
        var old = _world.CallOf(_model with { Scheduling = new ModelSchedulingConfig { MaxQueued = new ModelQueueLengths { Standard = 0 } } });
        _world.Reload(_model with { Scheduling = new ModelSchedulingConfig { MaxQueued = new ModelQueueLengths { Standard = 1 } } });
        Assert.True(_world.Slots.TryTake(_one));
        var waiting = Scheduler.WaitAsync(old, [_one], Cancel).AsTask();
        Assert.False(waiting.IsCompleted);
        _world.Slots.GiveBack(_one);
        Assert.Equal(_one, (await waiting).Deployment);
    }

    /// <summary>Calls that wait age by the new setting.</summary>
    [Fact]
    public async Task Reload_AgingChanged_AppliesToCallsThatWait()
    {
        Assert.True(_world.Slots.TryTake(_one));
        var (bulk, standard) = (_world.CallOf(_model), _world.CallOf(_model, "b"));
        bulk.Class = CallClasses.Bulk;
        var waits = new[] { bulk, standard }.Select(call => Scheduler.WaitAsync(call, [_one], Cancel).AsTask()).ToArray();
        _world.Time.Advance(TimeSpan.FromSeconds(2));
        _world.Reload(_model with { Scheduling = new ModelSchedulingConfig { AgingAfter = TimeSpan.FromSeconds(1) } });
        _world.Slots.GiveBack(_one);
        Assert.Same(waits[0], await Task.WhenAny(waits));
        _world.Slots.GiveBack(_one);
        await waits[1];
    }

    [Fact]
    public void Reload_LimitChanged_AppliesToDeploymentsOfAnyCatalogue()
    {
        _world.Reload(SchedulerWorld.ModelOf("m", VirtualQueue.At("p/1", 2)));
        Assert.True(_world.Slots.TryTake(_one));
        Assert.True(_world.Slots.TryTake(_one));
        Assert.False(_world.Slots.TryTake(_one));
        _world.Slots.GiveBack(_one);
        _world.Slots.GiveBack(_one);
    }

    /// <summary>
    /// A call waits for the first deployment, fails there, waits for the second and uses it: each deployment counts what was used there.
    /// </summary>
    [Fact]
    public async Task Settle_CallThatFailedOver_ChargesEachDeploymentWhatItUsedThere()
    {
        Assert.True(_world.Slots.TryTake(_one));
        Assert.True(_world.Slots.TryTake(_two));
        var call = _world.CallOf(_model);
        await WaitFor(call, _one);
        call.Attempts.Add(new Attempt("att_1", 1, _one));
        await WaitFor(call, _two);
        call.Answering = new Attempt("att_2", 2, _two) { Usage = new Usage(10, 5000) };
        call.Attempts.Add(call.Answering);
        Scheduler.Settle(call);
        Scheduler.Settle(call);
        // At both, the other organization has used 100 tokens.
        foreach (var deployment in new[] { _one, _two })
        {
            var other = _world.CallOf(_model, "b");
            await WaitFor(other, deployment);
            other.Answering = new Attempt("att_3", 1, deployment) { Usage = new Usage(100, 0) };
            other.Attempts.Add(other.Answering);
            Scheduler.Settle(other);
        }

        Assert.Equal("a", await NextAsync(_one));
        Assert.Equal("b", await NextAsync(_two));
    }

    /// <summary>The slot is taken; the call waits and gets it.</summary>
    private async Task WaitFor(GatewayCall call, Deployment deployment)
    {
        var waiting = Scheduler.WaitAsync(call, [deployment], Cancel).AsTask();
        Assert.False(waiting.IsCompleted);
        _world.Slots.GiveBack(deployment);
        Assert.Equal(deployment, (await waiting).Deployment);
    }

    /// <summary>The organization that is next when both wait.</summary>
    private async Task<string> NextAsync(Deployment deployment)
    {
        var waits = new[] { "b", "a" }.Select(organization => _world.CallOf(_model, organization))
            .Select(call => (call.Caller.OrganizationId, Wait: Scheduler.WaitAsync(call, [deployment], Cancel).AsTask())).ToList();
        _world.Slots.GiveBack(deployment);
        var first = await Task.WhenAny(waits.Select(entry => entry.Wait));
        _world.Slots.GiveBack(deployment);
        await Task.WhenAll(waits.Select(entry => entry.Wait));
        return waits.Single(entry => entry.Wait == first).OrganizationId;
    }

    private GatewayCall RunOf(int workers = 8)
    {
        var call = _world.CallOf(_model);
        call.QueuedRun = new QueuedRun(workers, TimeSpan.Zero);
        return call;
    }
}
