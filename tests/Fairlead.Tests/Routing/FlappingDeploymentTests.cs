using CsCheck;
using Fairlead.Catalogue;
using Fairlead.Providers;
using Fairlead.Routing;

namespace Fairlead.Tests.Routing;

/// <summary>
/// A primary that fails and recovers again and again, in virtual time: while it is down at most one test per interval reaches it, and all calls
/// use it again within 30 s of its recovery. With probes, no call reaches it while it is down.
/// </summary>
public sealed class FlappingDeploymentTests
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan MaxRecovery = TimeSpan.FromSeconds(30);

    [Fact]
    public void Flapping_TestedByCalls_ReturnsInTime() =>
        Gen.Int[5, 1200].Array[2, 12].Sample(Run, iter: 200);

    [Fact]
    public Task Flapping_TestedByProbes_ReturnsInTime() =>
        Gen.Int[5, 1200].Array[2, 12].SampleAsync(RunProbedAsync, iter: 50);

    private static async Task RunProbedAsync(int[] phases)
    {
        using var world = new RoutingWorld();
        var probed = new ProbedDeployment(new ProbeConfig { Path = "/health" });
        using var prober = world.ProberOf(probed);
        var health = world.Healths.Of(probed.Deployment);
        var (works, since, now, nextStep) = (false, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);
        var tests = new List<TimeSpan>();
        probed.Respond = _ =>
        {
            if (health.IsOpen && !works) tests.Add(now);
            return Task.FromResult(new PathResponse(works ? 200 : 503));
        };
        foreach (var steps in phases)
        {
            (works, since) = (!works, now);
            for (var step = 0; step < steps; step++, now += Step, world.Time.Advance(Step))
            {
                if (now >= nextStep)
                {
                    nextStep = now + prober.Step(TestContext.Current.CancellationToken);
                    await prober.Running;
                }
                if (!health.TryEnter(out var ticket))
                {
                    Assert.True(!works || now - since <= MaxRecovery, $"Open {now - since} after its recovery.");
                    continue;
                }
                Assert.False(ticket.IsTest);
                ticket.GiveBack();
                if (works) ticket.Succeeded();
                else ticket.Ended(HealthVerdict.Failed);
            }
        }
        var interval = probed.Deployment.Probe!.Interval;
        for (var i = 1; i < tests.Count; i++) Assert.True(tests[i] - tests[i - 1] >= interval, $"Tests at {tests[i - 1]} and {tests[i]}.");
    }

    /// <param name="phases">Steps for which it works, fails, works and so on.</param>
    private static void Run(int[] phases)
    {
        using var world = new RoutingWorld();
        var health = world.Healths.Of(RoutingWorld.At("primary"));
        var interval = BreakerConfig.Default.Interval;
        var (works, since) = (false, TimeSpan.Zero);
        var tests = new List<TimeSpan>();
        var now = TimeSpan.Zero;
        foreach (var steps in phases)
        {
            (works, since) = (!works, now);
            for (var step = 0; step < steps; step++, now += Step, world.Time.Advance(Step))
            {
                if (health.TryEnter(out var ticket)) Attempt(ticket);
                else if (works)
                {
                    Assert.True(now - since <= MaxRecovery, $"Open {now - since} after its recovery.");
                }
            }
        }
        for (var i = 1; i < tests.Count; i++) Assert.True(tests[i] - tests[i - 1] >= interval, $"Tests at {tests[i - 1]} and {tests[i]}.");

        void Attempt(HealthTicket ticket)
        {
            if (ticket.IsTest && !works) tests.Add(now);
            ticket.GiveBack();
            if (!works) ticket.Ended(HealthVerdict.Failed);
            else ticket.Succeeded();
        }
    }
}
