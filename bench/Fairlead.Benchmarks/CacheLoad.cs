using System.Globalization;
using System.Text;

namespace Fairlead.Benchmarks;

/// <summary>
/// What a hit of the cache costs: the processor time of the gateway per call, compared with the same call as a miss that is kept, and as a
/// call that does not use the cache, in turn.
/// </summary>
internal static class CacheLoad
{
    private const string Path = "/v1/chat/completions";

    private static readonly (string Name, string Extension)[] Ways =
    [
        ("without the cache", ",\"fairlead\":{\"cache\":{\"mode\":\"off\"}}"),
        ("miss, kept", ",\"fairlead\":{\"cache\":{\"mode\":\"write\"}}"),
        ("hit", ",\"fairlead\":{\"cache\":{\"mode\":\"on\"}}"),
    ];

    public static async Task MeasureAsync(StringBuilder report, int rounds, TimeSpan seconds, TimeSpan warmUp, string key, ChildProcess fairlead)
    {
        var url = fairlead.Url + Path;
        await MeasureAsync(report, "Short unstreamed chat, 64 connections", 0.75, rounds, fairlead,
            async extension => (await Load.CallsAsync(url, key, Body("m-sync", "", extension), 64, seconds)) is var result
                ? (result.Calls, result.Errors) : default,
            extension => Load.CallsAsync(url, key, Body("m-sync", "", extension), 64, warmUp));
        await MeasureAsync(report, "Streamed chat of 500 tokens at 5 ms, 100 streams", 0.3, rounds, fairlead,
            async extension => (await Load.StreamsAsync(url, key, Body("m-5ms-500", ",\"stream\":true", extension), 100)) is var result
                ? (result.Calls, result.Errors) : default,
            extension => Load.StreamsAsync(url, key, Body("m-5ms-500", ",\"stream\":true", extension), 100));
    }

    private static async Task MeasureAsync(StringBuilder report, string title, double goal, int rounds, ChildProcess fairlead,
        Func<string, Task<(long Calls, long Errors)>> load, Func<string, Task> warmUp)
    {
        var cpu = Ways.ToDictionary(way => way.Name, _ => new List<double>());
        long errors = 0;
        foreach (var way in Ways) await warmUp(way.Extension);
        for (var round = 0; round < rounds; round++)
        {
            foreach (var way in Ways)
            {
                var before = fairlead.ProcessorTime();
                var result = await load(way.Extension);
                cpu[way.Name].Add((fairlead.ProcessorTime() - before).TotalMicroseconds / Math.Max(1, result.Calls));
                errors += result.Errors;
            }
        }
        report.AppendLine(CultureInfo.InvariantCulture, $"### {title}, {rounds} rounds in alternation, medians");
        report.AppendLine();
        report.AppendLine("| | CPU µs per call | hit / this |");
        report.AppendLine("|---|---|---|");
        var hit = Median(cpu["hit"]);
        foreach (var way in Ways)
        {
            var median = Median(cpu[way.Name]);
            report.AppendLine(CultureInfo.InvariantCulture, $"| {way.Name} | {median:0} | {hit / median:0.00} |");
        }
        report.AppendLine();
        report.AppendLine(CultureInfo.InvariantCulture,
            $"Goal: at most {goal:0.00} of a miss. Measured: {hit / Median(cpu["miss, kept"]):0.00} of a miss that is kept, "
            + $"{hit / Median(cpu["without the cache"]):0.00} of a call without the cache. Errors: {errors}.");
        report.AppendLine();
    }

    private static string Body(string model, string more, string extension) =>
        $$"""{"model":"{{model}}","temperature":0,"messages":[{"role":"user","content":"What is a fairlead?"}]{{more}}{{extension}}}""";

    private static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}
