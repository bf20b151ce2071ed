using CsCheck;
using Fairlead.Routing;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Routing;

/// <summary>A breaker opens after failures, is tested once per interval while it is open, and always closes after a recovery.</summary>
public sealed class DeploymentBreakerTests
{
    private static readonly BreakerConfig Config = new() { Failures = 3, MinimumAttempts = 10, Interval = TimeSpan.FromSeconds(10) };

    private readonly FakeTimeProvider _time = new();
    private readonly DeploymentBreaker _breaker;

    public DeploymentBreakerTests() => _breaker = new DeploymentBreaker(_time);

    [Fact]
    public void Failures_InARow_OpenAtTheConfiguredNumber()
    {
        Assert.False(Fail());
        Assert.False(Fail());
        Assert.False(_breaker.IsOpen);
        Assert.Null(_breaker.OpenedAt);
        Assert.True(Fail());
        Assert.True(_breaker.IsOpen);
        Assert.Equal(_time.GetUtcNow(), _breaker.OpenedAt);
        Assert.Equal(Config.Interval, _breaker.UntilTest(Config));
        Assert.Null(_breaker.TryEnter(Config));
    }

    [Fact]
    public void Failures_SuccessBetween_DoNotOpen()
    {
        for (var i = 0; i < 4; i++)
        {
            Fail();
            Fail();
            for (var j = 0; j < 5; j++) Succeed();
        }
        Assert.False(_breaker.IsOpen);
    }

    /// <summary>Few calls, and once in a while a probe that fails: those are not in a row.</summary>
    [Fact]
    public void Probes_SuccessBetween_DoNotOpen()
    {
        for (var i = 0; i < 40; i++)
        {
            Assert.False(FailProbe());
            Assert.False(FailProbe());
            Assert.False(_breaker.ProbeSucceeded(_breaker.Period));
        }
        Fail();
        FailProbe();
        Succeed();
        Fail();
        FailProbe();
        Assert.False(_breaker.IsOpen);
    }

    /// <summary>Probes that fail count in a row with calls that do. One that succeeds must not hide that calls fail.</summary>
    [Fact]
    public void Probes_InARowOrWithCalls_Open()
    {
        FailProbe();
        Fail();
        Assert.False(_breaker.ProbeSucceeded(_breaker.Period));
        Fail();
        Assert.False(_breaker.IsOpen);
        Assert.True(FailProbe());
        Assert.True(_breaker.ProbeSucceeded(_breaker.Period));
        Assert.False(_breaker.IsOpen);
        Assert.False(FailProbe());
        Assert.False(FailProbe());
        Assert.True(FailProbe());
    }

    [Fact]
    public void ErrorRate_ReachedByEnoughAttempts_Opens()
    {
        for (var i = 0; i < 5; i++) Succeed();
        // 9 attempts, 4 failed: neither enough attempts nor the rate.
        for (var i = 0; i < 2; i++)
        {
            Fail();
            Fail();
            if (i == 0) Succeed();
        }
        Assert.False(_breaker.IsOpen);
        Succeed();
        Fail();
        Fail();
        Succeed();
        // 14 attempts, 6 failed.
        Assert.False(_breaker.IsOpen);
        Assert.False(Fail());
        Assert.True(Fail());
        Assert.True(_breaker.IsOpen);
    }

    [Fact]
    public void ErrorRate_FailuresOlderThanTheWindow_DoNotCount()
    {
        for (var i = 0; i < 10; i++)
        {
            Succeed();
            if (i % 2 == 0) Fail();
        }
        _time.Advance(Config.Window + TimeSpan.FromSeconds(1));
        Succeed();
        for (var i = 0; i < 6; i++)
        {
            Fail();
            Succeed();
            Succeed();
        }
        Assert.False(_breaker.IsOpen);
    }

    [Fact]
    public void Test_Succeeds_ClosesForAllCalls()
    {
        Open();
        _time.Advance(Config.Interval);
        Assert.Null(_breaker.UntilTest(Config));
        var test = _breaker.TryEnter(Config)!.Value;
        Assert.Null(_breaker.TryEnter(Config));
        Assert.True(_breaker.Succeeded(Config, test));
        Assert.False(_breaker.IsOpen);
        Assert.NotNull(_breaker.TryEnter(Config));
        // Failures from before do not count.
        Fail();
        Fail();
        Assert.False(_breaker.IsOpen);
    }

    [Fact]
    public void Test_StreamStarts_Closes()
    {
        Open();
        _time.Advance(Config.Interval);
        var test = _breaker.TryEnter(Config)!.Value;
        Assert.True(_breaker.Responded(test));
        Assert.False(_breaker.Succeeded(Config, test));
        Assert.False(_breaker.IsOpen);
    }

    /// <summary>Also a test whose attempt ends without a report, because its client left.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Test_WithoutSuccess_NextOneIsDueAfterTheInterval(bool fails)
    {
        Open();
        _time.Advance(Config.Interval * 3);
        var test = _breaker.TryEnter(Config)!.Value;
        if (fails) Assert.False(_breaker.Failed(Config, test));
        _time.Advance(Config.Interval - TimeSpan.FromMilliseconds(1));
        Assert.Null(_breaker.TryEnter(Config));
        Assert.Equal(TimeSpan.FromMilliseconds(1), _breaker.UntilTest(Config));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.NotNull(_breaker.TryEnter(Config));
    }

    [Fact]
    public void Attempt_FromAnEarlierPeriod_ChangesNothing()
    {
        var old = Enumerable.Range(0, 20).Select(_ => _breaker.TryEnter(Config)!.Value).ToList();
        Open();
        Assert.False(_breaker.Succeeded(Config, old[0]));
        Assert.True(_breaker.IsOpen);
        _time.Advance(Config.Interval);
        _breaker.Succeeded(Config, _breaker.TryEnter(Config)!.Value);
        foreach (var attempt in old) Assert.False(_breaker.Failed(Config, attempt));
        Assert.False(_breaker.IsOpen);
    }

    [Fact]
    public void Disabled_EveryCallPasses()
    {
        Open();
        var off = Config with { Enabled = false };
        Assert.Null(_breaker.UntilTest(off));
        Assert.NotNull(_breaker.TryEnter(off));
        var other = new DeploymentBreaker(_time);
        for (var i = 0; i < 100; i++) other.Failed(off, other.TryEnter(off)!.Value);
        Assert.False(other.IsOpen);
    }

    /// <summary>
    /// Any mixture of calls, waits and ends, in any order, while the deployment works or not. Between two tests there is never less than an
    /// interval, no other call passes while it is open, and once the deployment works again, the first test closes it.
    /// </summary>
    [Fact]
    public void AnySequence_NeverTestsTwiceInAnIntervalAndAlwaysRecovers() =>
        Gen.Select(Gen.Int[0, 5], Gen.Int[0, 4000]).Array[0, 200].Sample(steps =>
        {
            var time = new FakeTimeProvider();
            var breaker = new DeploymentBreaker(time);
            var running = new List<int>();
            DateTimeOffset? lastTest = null;
            foreach (var (what, number) in steps)
            {
                switch (what)
                {
                    case 0:
                        time.Advance(TimeSpan.FromMilliseconds(number));
                        break;
                    case 1 or 2:
                        var wasOpen = breaker.IsOpen;
                        if (breaker.TryEnter(Config) is not { } period) break;
                        running.Add(period);
                        if (!wasOpen) break;
                        if (lastTest is { } last) Assert.True(time.GetUtcNow() - last >= Config.Interval);
                        Assert.True(time.GetUtcNow() - breaker.OpenedAt!.Value >= Config.Interval);
                        lastTest = time.GetUtcNow();
                        break;
                    case 3 or 4 when running.Count > 0:
                        breaker.Failed(Config, Take(running, number));
                        break;
                    case 5 when running.Count > 0:
                        // A stale success must not open the way for others.
                        var isTest = breaker.IsOpen;
                        var ended = Take(running, number);
                        if (breaker.Succeeded(Config, ended)) Assert.True(isTest && (ended & 1) != 0);
                        break;
                }
            }
            time.Advance(Config.Interval);
            var next = breaker.TryEnter(Config);
            Assert.NotNull(next);
            breaker.Succeeded(Config, next.Value);
            Assert.False(breaker.IsOpen);
        });

    [Fact]
    public async Task Tests_ManyCallsAtOnce_OnlyOnePasses()
    {
        Open();
        for (var round = 0; round < 50; round++)
        {
            _time.Advance(Config.Interval);
            using var start = new Barrier(4);
            var passed = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Factory.StartNew(() =>
            {
                start.SignalAndWait(TestContext.Current.CancellationToken);
                return _breaker.TryEnter(Config) is not null;
            }, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
            Assert.Single(passed, true);
        }
    }

    private static int Take(List<int> running, int number)
    {
        var taken = running[number % running.Count];
        running.RemoveAt(number % running.Count);
        return taken;
    }

    private void Open()
    {
        for (var i = 0; i < Config.Failures; i++) Fail();
        Assert.True(_breaker.IsOpen);
    }

    private bool FailProbe() => _breaker.Failed(Config, _breaker.Period, isProbe: true);

    private bool Fail() => _breaker.Failed(Config, _breaker.TryEnter(Config)!.Value);

    private void Succeed() => _breaker.Succeeded(Config, _breaker.TryEnter(Config)!.Value);
}
