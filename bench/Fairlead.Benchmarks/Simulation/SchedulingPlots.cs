namespace Fairlead.Benchmarks.Simulation;

/// <summary>The plots of <see cref="SchedulingSimulation"/> in docs/plots.</summary>
internal static class SchedulingPlots
{
    private static readonly (int From, int To, string Name)[] Spans =
        [(10, 20, "one organization floods"), (30, 45, "15 deployments degrade")];

    /// <summary>The files by name.</summary>
    public static IReadOnlyDictionary<string, string> Of(SchedulingSimulation simulation)
    {
        var waits = simulation.WaitsByClass;
        return new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["scheduling-priority.svg"] = new SvgPlot
            {
                Title = "Priority: wait for a slot (95th percentile)",
                Description = "Waits of the three classes by minute of arrival. Realtime waits least, bulk longest, and none starves.",
                YTitle = "seconds",
                Minutes = SchedulingSimulation.Minutes,
                Spans = Spans,
                Lines = [new("bulk", 3, waits[2]), new("standard", 2, waits[1]), new("realtime", 1, waits[0])],
            }.ToString(),
            ["scheduling-fairness.svg"] = new SvgPlot
            {
                Title = "Fairness: output tokens served",
                Description = "Tokens by minute. While one organization floods, the others keep what they need.",
                YTitle = "thousand tokens a minute",
                Minutes = SchedulingSimulation.Minutes,
                Spans = Spans,
                Lines =
                [
                    new("flooding organization / 10", 2, [.. simulation.FloodTokens.Select(tokens => tokens / 10_000)]),
                    new("mean of the 30 others", 1, [.. simulation.MeanTokens.Select(tokens => tokens / 1000)]),
                    new("the one that gets least", 4, [.. simulation.LeastTokens.Select(tokens => tokens / 1000)]),
                ],
            }.ToString(),
            ["scheduling-adaptation.svg"] = new SvgPlot
            {
                Title = "Adaptation: the 15 deployments that degrade",
                Description =
                    "Their capacity, the sum of their limits in force, and the attempts that run. The limits follow the capacity.",
                YTitle = "attempts",
                Minutes = SchedulingSimulation.Minutes,
                Spans = Spans,
                Lines =
                [
                    new("limit in force", 2, simulation.Limits), new("attempts that run", 1, simulation.Running),
                    new("capacity", 4, simulation.Capacity),
                ],
            }.ToString(),
        };
    }
}
