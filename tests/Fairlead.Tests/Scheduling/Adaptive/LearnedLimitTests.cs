using CsCheck;
using Fairlead.Scheduling.Adaptive;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Scheduling.Adaptive;

public sealed class LearnedLimitTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly LearnedLimit _limit;

    public LearnedLimitTests() => _limit = new LearnedLimit(_time);

    [Fact]
    public void InForce_WithoutStrain_IsNone()
    {
        for (var i = 0; i < 100; i++)
        {
            Serve(20, seconds: 1, running: 40);
            Window(40);
        }
        Assert.Equal(LearnedLimit.None, _limit.InForce);
    }

    [Fact]
    public void Add_Refused_LeavesFourFifthsOfTheConcurrency()
    {
        Assert.True(_limit.Add(Refused(), running: 50));
        Assert.Equal(40, _limit.InForce);
    }

    [Fact]
    public void Add_RefusedThatStartedBeforeTheLastStep_ChangesNothing()
    {
        var early = Refused();
        _time.Advance(TimeSpan.FromMilliseconds(1));
        _limit.Add(Refused(), running: 50);
        Assert.False(_limit.Add(early, running: 50));
        Assert.Equal(40, _limit.InForce);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        _limit.Add(Refused(), running: 40);
        Assert.Equal(32, _limit.InForce);
    }

    [Fact]
    public void Add_RefusedThatRanAlone_ChangesNothing()
    {
        Assert.False(_limit.Add(Refused(), running: 1));
        Assert.Equal(LearnedLimit.None, _limit.InForce);
    }

    [Fact]
    public void Tick_QuarterOfTheAttemptsFailed_IsLikeARefusal()
    {
        Serve(9, seconds: 1, running: 10);
        for (var i = 0; i < 3; i++) _limit.Add(Sample(AttemptResult.Failed), 10);
        Window(10);
        Assert.Equal(8, _limit.InForce);
    }

    [Theory]
    [InlineData(10, 3)] // Less than a quarter.
    [InlineData(0, 2)] // Fewer than three.
    public void Tick_FewFailures_ChangeNothing(int served, int failed)
    {
        Serve(served, seconds: 1, running: 10);
        for (var i = 0; i < failed; i++) _limit.Add(Sample(AttemptResult.Failed), 10);
        Window(10);
        Assert.Equal(LearnedLimit.None, _limit.InForce);
    }

    [Fact]
    public void Tick_LimitInUse_GrowsFasterBelowTheLevelOfTheLastRefusal()
    {
        _limit.Add(Refused(), running: 100);
        Window(80);
        Assert.Equal(80, _limit.InForce); // The window of the step.
        Window(80);
        Assert.Equal(81, _limit.InForce); // 2 %.
        _time.Advance(LearnedLimit.Memory);
        Window(80);
        Assert.InRange(_limit.InForce, 89, 91); // The root.
    }

    [Fact]
    public void Tick_NoTraffic_DoublesInAMinuteAndEndsWithoutLimit()
    {
        _limit.Add(Refused(), running: 2);
        Assert.Equal(1, _limit.InForce);
        Window(0);
        for (var i = 0; i < 30; i++) Window(0);
        Assert.InRange(_limit.InForce, 2, 4);
        for (var i = 0; i < 30 * 15; i++) Window(0);
        Assert.Equal(LearnedLimit.None, _limit.InForce);
    }

    [Fact]
    public void Tick_SlowOnce_ChangesNothing()
    {
        Serve(20, seconds: 1, running: 20);
        Window(20);
        Serve(20, seconds: 5, running: 20);
        Window(20);
        Serve(20, seconds: 1, running: 20);
        Window(20);
        Serve(20, seconds: 5, running: 20);
        Window(20);
        Assert.Equal(LearnedLimit.None, _limit.InForce);
    }

    [Fact]
    public void Tick_SlowTwiceAtHigherConcurrency_FollowsTheGradient()
    {
        Serve(20, seconds: 1, running: 20);
        Window(20);
        for (var i = 0; i < 2; i++)
        {
            Serve(20, seconds: 4, running: 64);
            Window(64);
        }
        // Half of 64, and half of its root.
        Assert.Equal(36, _limit.InForce);
    }

    [Fact]
    public void Tick_LongRequests_AreNotSlow()
    {
        for (var i = 0; i < 40; i++)
        {
            var (input, output) = i % 2 == 0 ? (100, 50) : (40_000, 2000);
            for (var call = 0; call < 20; call++)
            {
                var first = 0.4 * (1 + (input / LearnedLimit.InputScale));
                _limit.Add(Sample(AttemptResult.Served) with
                {
                    HoldSeconds = first + (0.02 * (output - 1)), FirstTokenSeconds = first, PaceSeconds = 0.02 * (output - 1), InputTokens = input, OutputTokens = output,
                }, 30 + i);
            }
            Window(30 + i);
        }
        Assert.Equal(LearnedLimit.None, _limit.InForce);
    }

    [Fact]
    public void Tick_LessConcurrencyDoesNotHelp_ReturnsTheLimit()
    {
        Serve(20, seconds: 1, running: 20);
        Window(20);
        var least = int.MaxValue;
        for (var i = 0; i < 20; i++)
        {
            var running = Math.Min(64, _limit.InForce);
            Serve(20, seconds: 6, running);
            Window(running);
            least = Math.Min(least, _limit.InForce);
        }
        Assert.InRange(least, 20, 45);
        Assert.True(_limit.InForce >= 64, $"{_limit.InForce}");
    }

    /// <summary>Whatever happens: never below 1, never above the bound; after an hour of quiet there is no limit.</summary>
    [Fact]
    public void Limit_AnyAttempts_StaysInBoundsAndRecovers() =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 300], Gen.Double[0.001, 100], Gen.Int[0, 5000]).Array[0, 400].Sample(steps =>
        {
            var time = new FakeTimeProvider();
            var limit = new LearnedLimit(time);
            foreach (var (result, running, seconds, wait) in steps)
            {
                limit.Seen(running);
                limit.Add(new AttemptSample((AttemptResult)result, time.GetTimestamp(), seconds)
                {
                    OutputTokens = running, FirstTokenSeconds = running % 2 == 0 ? seconds / 2 : 0, PaceSeconds = seconds / 2, InputTokens = wait,
                }, running);
                time.Advance(TimeSpan.FromMilliseconds(wait));
                limit.Tick(running);
                if (limit.InForce is < 1 or (> LearnedLimit.Bound and < LearnedLimit.None)) return false;
            }
            for (var i = 0; i < 1800; i++)
            {
                time.Advance(LearnedLimit.Window);
                limit.Tick(0);
            }
            return limit.InForce == LearnedLimit.None;
        }, iter: 200, threads: 1);

    [Fact]
    public async Task Add_ManyThreads_LosesNoSample()
    {
        var signal = new LatencySignal();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < 10_000; i++) signal.Add(i % 2 == 0 ? 0.5 : 2);
        }, TestContext.Current.CancellationToken)));
        Assert.Equal(1, signal.Evaluate(1));
        Assert.Equal(1, signal.Current, 3);
        Assert.Null(signal.Evaluate(1));
    }

    private AttemptSample Sample(AttemptResult result) => new(result, _time.GetTimestamp(), 1);

    private AttemptSample Refused() => Sample(AttemptResult.Refused);

    private void Serve(int attempts, double seconds, int running)
    {
        for (var i = 0; i < attempts; i++)
            _limit.Add(Sample(AttemptResult.Served) with { HoldSeconds = seconds, OutputTokens = 100, InputTokens = 100 }, running);
    }

    private void Window(int running)
    {
        _limit.Seen(running);
        _time.Advance(LearnedLimit.Window);
        _limit.Tick(running);
    }
}
