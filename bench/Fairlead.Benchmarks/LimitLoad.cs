using System.Globalization;
using System.Text;

namespace Fairlead.Benchmarks;

/// <summary>
/// What limits cost a call: the gateway's processor time per call without limits, with eight limits per caller, and with eight limits while
/// the calls come from many organizations. All ways use one process, in turn.
/// </summary>
internal static class LimitLoad
{
    private const int Few = 10;

    public static async Task MeasureAsync(StringBuilder report, string adminKey, string body, ChildProcess fairlead, int organizations,
        int rounds, TimeSpan seconds, TimeSpan warmUp)
    {
        using var client = new HttpClient { BaseAddress = new Uri(fairlead.Url) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", adminKey);
        var many = new string[organizations];
        await Parallel.ForAsync(0, organizations, new ParallelOptions { MaxDegreeOfParallelism = 8 },
            async (i, _) => many[i] = await LimitedKeys.MakeAsync(client, i, LimitedKeys.Limits));
        var ways = new (string Name, IReadOnlyList<string> Keys)[]
        {
            ("no limits", [await LimitedKeys.MakeAsync(client, -1, "{}")]),
            ("eight limits", [many[0]]),
            ($"eight limits, {Few} organizations", many[..Math.Min(Few, organizations)]),
            ($"eight limits, {organizations} organizations", many),
        };
        var path = fairlead.Url + "/v1/chat/completions";
        var cpu = ways.ToDictionary(way => way.Name, _ => new List<double>());
        var rate = ways.ToDictionary(way => way.Name, _ => new List<double>());
        long errors = 0;
        foreach (var way in ways) await Load.CallsAsync(path, way.Keys, body, 64, warmUp / 2);
        for (var round = 0; round < rounds; round++)
        {
            foreach (var way in round % 2 == 0 ? ways : Enumerable.Reverse(ways))
            {
                var before = fairlead.ProcessorTime();
                var result = await Load.CallsAsync(path, way.Keys, body, 64, seconds);
                cpu[way.Name].Add((fairlead.ProcessorTime() - before).TotalMicroseconds / Math.Max(1, result.Calls));
                rate[way.Name].Add(result.PerSecond);
                errors += result.Errors;
            }
        }

        report.AppendLine("### Limits: non-stream chat, 2 KB, 64 connections");
        report.AppendLine();
        report.AppendLine("| | CPU µs per call | calls/s |");
        report.AppendLine("|---|---|---|");
        foreach (var (name, _) in ways)
        {
            report.AppendLine(CultureInfo.InvariantCulture, $"| {name} | {Median(cpu[name]):0.0} | {Median(rate[name]):0} |");
        }
        report.AppendLine();
        report.AppendLine(CultureInfo.InvariantCulture,
            $"Eight limits / none: {PairedRatio(cpu[ways[1].Name], cpu[ways[0].Name]):0.00} × (goal at most 1.08). "
            + $"{organizations} organizations / {Few}: {PairedRatio(cpu[ways[3].Name], cpu[ways[2].Name]):0.00} × (goal at most 1.10). "
            + $"Errors: {errors}.");
        report.AppendLine();
    }

    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }

    /// <summary>The median of the ratios of the rounds, so that noise that lasts longer than a round affects both sides.</summary>
    public static double PairedRatio(List<double> with, List<double> without) =>
        Median(with.Zip(without, (one, other) => one / other));
}
