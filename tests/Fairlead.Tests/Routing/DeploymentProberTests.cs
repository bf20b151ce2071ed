using Fairlead.Catalogue;
using Fairlead.Providers;
using Fairlead.Routing;
using Fairlead.Routing.Probes;

namespace Fairlead.Tests.Routing;

/// <summary>Only probes test an open deployment, as long as they find out something.</summary>
public sealed class DeploymentProberTests : IDisposable
{
    private static readonly ProbeConfig Probe =
        new() { Path = "/health", Interval = TimeSpan.FromSeconds(5), Timeout = TimeSpan.FromSeconds(10) };

    private readonly RoutingWorld _world = new();
    private readonly ProbedDeployment _probed = new(Probe);
    private readonly DeploymentProber _prober;
    private readonly DeploymentHealth _health;
    private int _requests;

    public DeploymentProberTests()
    {
        _prober = _world.ProberOf(_probed);
        _health = _world.Healths.Of(_probed.Deployment);
        for (var i = 0; i < BreakerConfig.Default.Failures; i++)
        {
            Assert.True(_health.TryEnter(out var ticket));
            ticket.GiveBack();
            ticket.Ended(HealthVerdict.Failed);
        }
        Assert.True(_health.IsOpen);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _prober.Dispose();
        _world.Dispose();
    }

    /// <summary>Whether it says nothing, or could not be made: otherwise nothing would ever close the breaker.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Step_ProbeWithoutVerdict_CallsTestUntilThereIsOne(bool throws)
    {
        _probed.Respond = _ => throws ? throw new InvalidOperationException("broken") : Task.FromResult(new PathResponse(401, HasOtherKey: true));
        await StepAsync();
        _world.Time.Advance(BreakerConfig.Default.Interval);
        await StepAsync();
        Assert.True(_health.TryEnter(out var test));
        Assert.True(test.IsTest);
        test.GiveBack();

        _probed.Respond = _ => Task.FromResult(new PathResponse(503));
        _world.Time.Advance(Probe.Interval);
        await StepAsync();
        _world.Time.Advance(BreakerConfig.Default.Interval);
        await StepAsync();
        Assert.False(_health.TryEnter(out _));
        _probed.Respond = _ => Task.FromResult(new PathResponse(200));
        _world.Time.Advance(Probe.Interval);
        await StepAsync();
        Assert.False(_health.IsOpen);
    }

    /// <summary>Clients are not told to come back at once while a probe takes longer than the interval.</summary>
    [Fact]
    public async Task Step_ProbeTakesLongerThanTheInterval_NextTestIsAnIntervalAway()
    {
        var response = new TaskCompletionSource<PathResponse>();
        _probed.Respond = _ => response.Task;
        _prober.Step(Token);
        for (var i = 0; i < 8; i++)
        {
            _world.Time.Advance(TimeSpan.FromSeconds(1));
            _prober.Step(Token);
            Assert.InRange(_health.UntilTest!.Value, TimeSpan.FromSeconds(1), Probe.Interval);
        }
        // Due, and not noticed yet.
        _health.ProbedAt(_world.Time.GetTimestamp() - 1);
        Assert.Equal(DeploymentHealth.Overdue, _health.UntilTest);
        response.SetResult(new PathResponse(200));
        await _prober.Running;
        Assert.Null(_health.UntilTest);
    }

    /// <summary>A provider that ignores its timeout is tested by calls, and gets no second probe meanwhile.</summary>
    [Fact]
    public async Task Step_ProbeHangs_IsLeftAloneAndCallsTest()
    {
        var hangs = new TaskCompletionSource<PathResponse>();
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _probed.Respond = _ =>
        {
            Interlocked.Increment(ref _requests);
            arrived.TrySetResult();
            return hangs.Task;
        };
        _prober.Step(Token);
        await arrived.Task.WaitAsync(Token);
        _world.Time.Advance(Probe.Timeout + ProbeRunner.Backstop);
        await _prober.Running;
        Assert.Equal(0, _health.Running);
        for (var i = 0; i < 3; i++)
        {
            _prober.Step(Token);
            Assert.True(_health.TryEnter(out var test));
            Assert.True(test.IsTest);
            test.GiveBack();
            _world.Time.Advance(BreakerConfig.Default.Interval);
        }
        hangs.SetResult(new PathResponse(200));
        var recovered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _probed.Respond = _ =>
        {
            recovered.TrySetResult();
            return Task.FromResult(new PathResponse(200));
        };
        while (!recovered.Task.IsCompleted)
        {
            Token.ThrowIfCancellationRequested();
            _prober.Step(Token);
            await Task.Yield();
        }
        await _prober.Running;
        Assert.False(_health.IsOpen);
        Assert.Equal(1, _requests);
    }

    private async Task StepAsync()
    {
        _prober.Step(Token);
        await _prober.Running;
        // The result is taken over by the next one.
        _prober.Step(Token);
        await _prober.Running;
    }
}
