using System.Globalization;
using System.Text;

namespace Fairlead.Benchmarks;

/// <summary>
/// What joining tokens saves: the processor time of the gateway per 1,000 tokens with default batching, compared with the same streams with
/// a batch of one and through bare YARP, in turn. At 100 ms per token nothing is joined, so the result must be the same, in the same time.
/// </summary>
internal static class Batching
{
    private const string Path = "/v1/chat/completions";

    public static async Task MeasureAsync(StringBuilder report, int rounds, string key, ChildProcess fairlead, ChildProcess yarp,
        (ChildProcess Process, string Key)? beside)
    {
        await MeasureAsync(report, "5 ms per token", "m-5ms-600", 100, 600, rounds, 0.8, key, fairlead, yarp, beside);
        await MeasureAsync(report, "100 ms per token", "m-100ms-50", 400, 50, rounds, 1.05, key, fairlead, yarp, beside);
    }

    private static async Task MeasureAsync(StringBuilder report, string title, string model, int streams, int tokens, int rounds,
        double goal, string key, ChildProcess fairlead, ChildProcess yarp, (ChildProcess Process, string Key)? beside)
    {
        List<(string Name, ChildProcess Process, string? Key, string Extension)> ways =
        [
            ("batch of one", fairlead, key, ",\"fairlead\":{\"batch_tokens\":1}"),
            ("default batching", fairlead, key, ""),
            ("YARP", yarp, null, ""),
        ];
        if (beside is var (process, besideKey)) ways.Add(("beside, default batching", process, besideKey, ""));
        var cpu = ways.ToDictionary(way => way.Name, _ => new List<double>());
        var length = ways.ToDictionary(way => way.Name, _ => new List<double>());
        long errors = 0;
        foreach (var way in ways) await Load.StreamsAsync(way.Process.Url + Path, way.Key, Body(model, way.Extension), streams);
        for (var round = 0; round < rounds; round++)
        {
            // Every second round runs backwards: the first of two gateways in a row was measured several percent dearer than the second.
            foreach (var way in round % 2 == 0 ? ways : Enumerable.Reverse(ways))
            {
                var before = way.Process.ProcessorTime();
                var result = await Load.StreamsAsync(way.Process.Url + Path, way.Key, Body(model, way.Extension), streams);
                cpu[way.Name].Add((way.Process.ProcessorTime() - before).TotalMilliseconds / (streams * tokens / 1000.0));
                // The streams start within one second.
                length[way.Name].Add(result.Elapsed.TotalSeconds - 1);
                errors += result.Errors;
            }
        }

        report.AppendLine(CultureInfo.InvariantCulture,
            $"### {streams} streams of {tokens} tokens at {title}, {rounds} rounds in alternation, medians");
        report.AppendLine();
        report.AppendLine("| | CPU ms per 1,000 tokens | stream duration s |");
        report.AppendLine("|---|---|---|");
        foreach (var way in ways)
        {
            report.AppendLine(CultureInfo.InvariantCulture,
                $"| {way.Name} | {Median(cpu[way.Name]):0.0} | {Median(length[way.Name]):0.00} |");
        }

        report.AppendLine();
        report.AppendLine(CultureInfo.InvariantCulture,
            $"Default batching / batch of one: {Median(cpu["default batching"]) / Median(cpu["batch of one"]):0.00} × "
            + $"(goal at most {goal:0.00}); / YARP: {Median(cpu["default batching"]) / Median(cpu["YARP"]):0.00} ×. Errors: {errors}.");
        if (beside is not null)
        {
            report.AppendLine(CultureInfo.InvariantCulture,
                $"Default batching / beside: {LimitLoad.PairedRatio(cpu["default batching"], cpu["beside, default batching"]):0.00} ×, the median of "
                + $"{rounds} pairs.");
        }
        report.AppendLine();
    }

    private static string Body(string model, string extension) =>
        $$"""{"model":"{{model}}","stream":true,"messages":["""
        + $$"""{"role":"user","content":"How is a chain cable paid out?"}],"max_tokens":1000{{extension}}}""";

    private static double Median(List<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }
}
