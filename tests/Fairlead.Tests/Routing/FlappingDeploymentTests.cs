using CsCheck;
using Fairlead.Catalogue;
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
        Gen.Int[5, 1200].Array[2, 12].Sample(phases => Run(phases, probe: null), iter: 200);

    [Fact]
    public void Flapping_TestedByProbes_ReturnsInTime() =>
        Gen.Int[5, 1200].Array[2, 12].Sample(phases => Run(phases, new ProbeConfig()), iter: 200);

    /// <param name="phases">Steps for which it works, fails, works and so on.</param>
    /// <param name="probe">How it is probed; null for not at all.</param>
    private static void Run(int[] phases, ProbeConfig? probe)
    {
        using var world = new RoutingWorld();
        var health = world.Healths.Of(RoutingWorld.At("primary"));
        var interval = probe?.Interval ?? BreakerConfig.Default.Interval;
        var (works, nextProbe, since) = (false, TimeSpan.Zero, TimeSpan.Zero);
        var tests = new List<TimeSpan>();
        var now = TimeSpan.Zero;
        foreach (var steps in phases)
        {
            (works, since) = (!works, now);
            for (var step = 0; step < steps; step++, now += Step, world.Time.Advance(Step))
            {
                if (probe is not null && now >= nextProbe)
                {
                    nextProbe = now + interval;
                    health.ProbedAt(world.Time.GetTimestamp() + (long)(interval.TotalSeconds * world.Time.TimestampFrequency));
                    Attempt(health.EnterProbe(), isProbe: true);
                }
                var wasOpen = health.IsOpen;
                if (health.TryEnter(out var ticket))
                {
                    // With probes, none while it is open.
                    Assert.True(probe is null || !wasOpen);
                    Attempt(ticket, isProbe: false);
                }
                else if (works)
                {
                    Assert.True(now - since <= MaxRecovery, $"Open {now - since} after its recovery.");
                }
            }
        }
        for (var i = 1; i < tests.Count; i++) Assert.True(tests[i] - tests[i - 1] >= interval, $"Tests at {tests[i - 1]} and {tests[i]}.");

        void Attempt(HealthTicket ticket, bool isProbe)
        {
            if (ticket.IsTest && !works) tests.Add(now);
            ticket.GiveBack();
            if (!works) ticket.Ended(HealthVerdict.Failed);
            else if (!isProbe || ticket.IsTest) ticket.Succeeded();
        }
    }
}
