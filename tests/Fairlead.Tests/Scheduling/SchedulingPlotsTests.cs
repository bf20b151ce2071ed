using Fairlead.Benchmarks.Simulation;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Scheduling;

/// <summary>The plots in docs/plots are those of the present code, and show what the guide says.</summary>
public sealed class SchedulingPlotsTests
{
    [Fact]
    public void Plots_Committed_EqualWhatTheCommandWritesAndShowTheClaims()
    {
        var simulation = SchedulingSimulation.Run();
        var plots = SchedulingPlots.Of(simulation);
        var folder = Repository.PathOf("docs", "plots");
        var update = Environment.GetEnvironmentVariable("FAIRLEAD_UPDATE_GOLDEN") == "1";
        foreach (var (name, svg) in plots)
        {
            if (update) File.WriteAllText(Path.Combine(folder, name), svg);
            Assert.Equal(svg, File.ReadAllText(Path.Combine(folder, name)));
            Assert.Contains($"(plots/{name})", File.ReadAllText(Repository.PathOf("docs", "scheduling.md")), StringComparison.Ordinal);
            System.Xml.Linq.XDocument.Parse(svg);
        }
        Assert.Equal(plots.Keys, Directory.GetFiles(folder, "scheduling-*.svg").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));

        // Priority.
        var waits = simulation.WaitsByClass.Select(minutes => minutes[12..20].Average()).ToArray();
        Assert.True(waits[0] < waits[1] && waits[1] < waits[2], string.Join(" / ", waits));
        // Fairness: in the second half of the flood, the others get what they got before it.
        Assert.InRange(simulation.MeanTokens[15..20].Average() / simulation.MeanTokens[5..10].Average(), 0.85, 1.15);
        Assert.True(simulation.FloodTokens[15..20].Average() > 5 * simulation.MeanTokens[15..20].Average());
        // Adaptation: the limits follow the capacity down and up.
        const int PerMinute = 4;
        var degraded = simulation.Limits[(33 * PerMinute)..(45 * PerMinute)].Average();
        const double Least = SchedulingSimulation.Degraded * SchedulingSimulation.DegradedCapacity;
        Assert.InRange(degraded, Least, 3 * Least);
        Assert.True(simulation.Limits[(55 * PerMinute)..].Average() > 0.8 * SchedulingSimulation.Degraded * SchedulingSimulation.MaxConcurrency);
    }
}
