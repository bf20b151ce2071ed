using Fairlead.Benchmarks.Simulation;
using Fairlead.Catalogue;
using Fairlead.Scheduling;
using Fairlead.Scheduling.Adaptive;

namespace Fairlead.Tests.Scheduling.Adaptive;

/// <summary>
/// A provider whose capacity changes by a factor of 4, under more load than it can take, in virtual time. The learned limit follows within
/// 90 seconds, throughput is kept, and latency does not explode (docs/decisions/0129-adaptive-concurrency.md).
/// </summary>
public sealed class AdaptiveSimulationTests
{
    private static readonly SchedulingConfig Unlimited = new()
    {
        MaxQueued = new QueueLengths { Realtime = 1_000_000, Standard = 1_000_000, Bulk = 1_000_000 },
    };

    private const int MaxConcurrency = 64;
    private const int Clients = 100;
    private const double Input = 200;
    private const double Output = 100;
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan Measured = TimeSpan.FromSeconds(60);

    private readonly VirtualTime _time = new();
    private readonly List<double> _latencies = [];
    private DeploymentSlots _slots = null!;
    private SimulatedProvider _provider = null!;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void LearnedLimit_CapacityChanges_FollowsItAndKeepsThroughput(bool refuses)
    {
        Start(refuses, capacity: 40);
        // Without load first, so that the latency without strain is known.
        for (var i = 0; i < 5; i++) Send(isLoop: true);
        _time.RunUntil(TimeSpan.FromMinutes(1));
        for (var i = 0; i < Clients; i++) Send(isLoop: true);

        foreach (var capacity in (int[])[40, 10, 40, 12])
        {
            _provider.Capacity = capacity;
            _time.RunUntil(_time.Now + Settling);
            _latencies.Clear();
            var limits = new List<int>();
            for (var second = 0; second < Measured.TotalSeconds; second++)
            {
                _time.RunUntil(_time.Now + TimeSpan.FromSeconds(1));
                limits.Add(new DeploymentLoads(_slots).Of(_provider.Deployment).Limit!.Value);
            }
            var mean = limits.Average();
            var unloaded = new SimulatedProvider { Deployment = _provider.Deployment, Capacity = 1 }.SecondsOf(Input, Output).Whole;
            var possible = capacity / unloaded * Measured.TotalSeconds;
            var what = $"capacity {capacity}: limit {mean:0.0}, {_latencies.Count} of {possible:0} served, median {_latencies.Order().ElementAt(_latencies.Count / 2):0.0} s";
            Assert.True(mean >= Math.Min(0.7 * capacity, MaxConcurrency) && mean <= 3 * capacity, what);
            Assert.True(_latencies.Count >= 0.7 * possible, what);
            Assert.True(_latencies.Order().ElementAt(_latencies.Count / 2) <= 4 * unloaded, what);
        }
    }

    /// <summary>A waiting call is served when the limit has grown, without another call ending.</summary>
    [Fact]
    public void Learn_LimitGrows_ServesWaitingCalls()
    {
        Start(refuses: false, capacity: 40);
        var deployment = _provider.Deployment;
        for (var i = 0; i < 10; i++) Assert.True(_slots.TryTake(deployment));
        _slots.GiveBack(deployment, new AttemptSample(AttemptResult.Refused, _time.GetTimestamp(), 1));
        // 9 run, and 8 may.
        Assert.Equal(8, new DeploymentLoads(_slots).Of(deployment).Limit);
        Assert.False(_slots.TryTake(deployment));
        var waiting = Send(isLoop: false);
        Assert.Equal(QueueState.Waiting, waiting.State);
        for (var i = 0; i < 10 && waiting.State == QueueState.Waiting; i++)
        {
            _time.RunUntil(_time.Now + LearnedLimit.Window);
            _slots.Learn();
        }
        Assert.Equal(QueueState.Granted, waiting.State);
    }

    [Fact]
    public void LearnedLimit_DeploymentThatIsNotAdaptive_DoesNotApply()
    {
        Start(refuses: false, capacity: 40);
        for (var i = 0; i < 10; i++) Assert.True(_slots.TryTake(_provider.Deployment));
        _slots.GiveBack(_provider.Deployment, new AttemptSample(AttemptResult.Refused, _time.GetTimestamp(), 1));
        Assert.False(_slots.TryTake(_provider.Deployment));
        _slots.SetLimits([_provider.Deployment with { IsAdaptive = false }]);
        Assert.True(_slots.TryTake(_provider.Deployment));
    }

    private void Start(bool refuses, int capacity)
    {
        _slots = new DeploymentSlots(_time);
        _provider = new SimulatedProvider
        {
            Deployment = new Deployment { Name = "p/m", ProviderName = "p", UpstreamModel = "m", MaxConcurrency = MaxConcurrency, IsAdaptive = true },
            Capacity = capacity,
            Refuses = refuses,
        };
        Tick();
    }

    private void Tick()
    {
        _slots.Learn();
        _time.After(LearningService.Interval, Tick);
    }

    private Fairlead.Benchmarks.Simulation.SimulatedCall Send(bool isLoop, bool isReturning = false)
    {
        var call = new Fairlead.Benchmarks.Simulation.SimulatedCall(granted => Run(granted, isLoop))
        {
            Organization = "a", Model = 0, InputTokens = Input, Output = Output, IsReturning = isReturning,
        };
        if (_slots.TryTake(_provider.Deployment)) Run(call, isLoop);
        else _slots.Enter(call, "m", Unlimited, [_provider.Deployment]);
        return call;
    }

    private void Run(Fairlead.Benchmarks.Simulation.SimulatedCall call, bool isLoop)
    {
        if (!isLoop) return;
        var startedAt = _time.GetTimestamp();
        if (_provider.IsFull)
        {
            _time.After(TimeSpan.FromMilliseconds(100), () =>
            {
                _slots.GiveBack(_provider.Deployment, new AttemptSample(AttemptResult.Refused, startedAt, 0.1));
                Send(isLoop: true, isReturning: true);
            });
            return;
        }
        _provider.Running++;
        var (first, whole) = _provider.SecondsOf(call.InputTokens, call.Output);
        _time.After(TimeSpan.FromSeconds(whole), () =>
        {
            _provider.Running--;
            _latencies.Add(whole);
            _slots.GiveBack(_provider.Deployment, new AttemptSample(AttemptResult.Served, startedAt, whole)
            {
                FirstTokenSeconds = first, PaceSeconds = whole - first, InputTokens = call.InputTokens, OutputTokens = call.Output,
            });
            Send(isLoop: true);
        });
    }
}
