using CsCheck;
using Fairlead.Catalogue;

namespace Fairlead.Tests.Scheduling;

/// <summary>What organizations get from each other in virtual time.</summary>
public sealed class FairnessTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    /// <summary>
    /// One organization has 200 long calls at once, a quiet one of equal weight sends one now and then: it gets one of the next two slots
    /// (95 %), and its wait is the same (±10 %) when the other sends 2,000.
    /// </summary>
    [Theory]
    [InlineData(1, 20)]
    [InlineData(5, 4)]
    public void QuietOrganization_BesideAFloodOfLongCalls_GetsOneOfTheNextTwoSlots(int deployments, int slots)
    {
        var few = QuietWaits(200, deployments, slots);
        var many = QuietWaits(2000, deployments, slots);
        Assert.True(Percentile(few.Select(call => (double)call.PassedBy), 0.95) <= 1);
        Assert.True(Percentile(many.Select(call => (double)call.PassedBy), 0.95) <= 1);
        var ratio = many.Average(call => call.Wait.TotalSeconds) / few.Average(call => call.Wait.TotalSeconds);
        Assert.InRange(ratio, 0.9, 1.1);
    }

    /// <summary>While both always have calls waiting, tokens are served in the ratio of the weights, however long the calls are.</summary>
    [Fact]
    public void Weights_TwoBusyOrganizations_ShareTokensInTheirRatio() =>
        Gen.Select(Gen.Double[0.2, 5], Gen.Int[20, 400], Gen.Int[20, 400], Gen.Int[1, 3]).Sample((weight, output, others, deployments) =>
        {
            var queue = new VirtualQueue();
            var list = Enumerable.Range(0, deployments).Select(i => VirtualQueue.At($"d{i}", 2)).ToArray();
            var random = new Random(output);
            Busy(queue, "a", list, 30, weight, output, random);
            Busy(queue, "b", list, 30, 1, others, random);
            // Grants before the queue has formed are not shared.
            queue.RunUntil(Second * 5000);
            var started = queue.Started.Where(call => call.HadToWait).ToList();
            var ratio = Served(started, "a") / Served(started, "b");
            return Math.Abs((ratio / weight) - 1) < 0.06;
        }, iter: 12, threads: 1);

    /// <summary>Two busy organizations share; a third that was silent for long gets a third, not all that it could have had before.</summary>
    [Fact]
    public void SilentOrganization_ComingBack_CannotHaveSavedUp()
    {
        var queue = new VirtualQueue();
        var one = VirtualQueue.At("d", 4);
        var random = new Random(3);
        Busy(queue, "c", [one], 20, 1, 100, random, until: Second * 100);
        Busy(queue, "a", [one], 20, 1, 100, random);
        Busy(queue, "b", [one], 20, 1, 100, random);
        queue.RunUntil(Second * 5000);
        var before = queue.Started.Count;
        Busy(queue, "c", [one], 20, 1, 100, random);
        queue.RunUntil(Second * 6000);
        var since = queue.Started.Skip(before).ToList();
        var share = since.Count(call => call.Organization == "c") / (double)since.Count;
        Assert.InRange(share, 0.30, 0.37);
    }

    /// <summary>One long call at a time is not served before the short ones of another more often than its tokens allow.</summary>
    [Fact]
    public void LongCalls_OneAtATime_DoNotGetMoreThanTheirShare()
    {
        var queue = new VirtualQueue();
        var one = VirtualQueue.At("d", 1);
        var random = new Random(4);
        Busy(queue, "short", [one], 20, 1, 50, random);
        Busy(queue, "long", [one], 2, 1, 1000, random);
        queue.RunUntil(Second * 20_000);
        var ratio = Served(queue.Started, "long") / Served(queue.Started, "short");
        Assert.InRange(ratio, 0.9, 1.1);
    }

    /// <summary>An organization keeps this many calls in the system.</summary>
    private static void Busy(
        VirtualQueue queue, string organization, Deployment[] deployments, int calls, double weight, int output, Random random,
        TimeSpan? until = null)
    {
        for (var i = 0; i < calls; i++) Next();

        void Next()
        {
            if (until is { } end && queue.Now >= end) return;
            var tokens = output * (0.5 + random.NextDouble());
            queue.Send(
                queue.NewCall(organization, deployments, Second * (tokens / 100), weight: weight, input: 20, output: tokens), Next);
        }
    }

    private static List<SimulatedCall> QuietWaits(int flood, int deployments, int slots)
    {
        var queue = new VirtualQueue();
        var list = Enumerable.Range(0, deployments).Select(i => VirtualQueue.At($"d{i}", slots)).ToArray();
        var (loud, quiet) = (new Random(1), new Random(2));
        for (var i = 0; i < flood; i++) Flood();
        queue.After(Second * 60, Ask);
        queue.RunUntil(Second * 30_000);
        var waits = queue.Started.Where(call => call.Organization == "quiet").ToList();
        Assert.True(waits.Count > 2000 && waits.All(call => call.HadToWait));
        return waits;

        void Flood() => queue.Send(
            queue.NewCall("loud", list, Second * (10 + (20 * loud.NextDouble())), output: 1500 + loud.Next(1000)), Flood);

        void Ask() => queue.Send(
            queue.NewCall("quiet", list, Second, output: 50), () => queue.After(Second * 16 * quiet.NextDouble(), Ask));
    }

    private static double Served(IEnumerable<SimulatedCall> calls, string organization) =>
        calls.Where(call => call.Organization == organization).Sum(call => call.Cost);

    private static double Percentile(IEnumerable<double> values, double share)
    {
        var sorted = values.Order().ToArray();
        return sorted[(int)Math.Ceiling(share * sorted.Length) - 1];
    }
}
