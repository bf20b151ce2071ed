using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;

namespace Fairlead.Benchmarks;

/// <summary>
/// What limits cost a call: the gateway's processor time per call without limits, with eight limits per caller, and with eight limits while
/// the calls come from many organizations. All ways use one process, in turn.
/// </summary>
internal static class LimitLoad
{
    private const string Limits =
        """{"requests_per_minute":1000000000,"input_tokens_per_minute":1000000000000,"output_tokens_per_minute":1000000000000,"usd_per_day":1000000}""";

    private const int Few = 10;

    public static async Task MeasureAsync(StringBuilder report, string adminKey, string body, ChildProcess fairlead, int organizations,
        int rounds, TimeSpan seconds, TimeSpan warmUp)
    {
        using var client = new HttpClient { BaseAddress = new Uri(fairlead.Url) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", adminKey);
        var many = new string[organizations];
        await Parallel.ForAsync(0, organizations, new ParallelOptions { MaxDegreeOfParallelism = 8 },
            async (i, _) => many[i] = await MakeKeyAsync(client, i, Limits));
        var ways = new (string Name, IReadOnlyList<string> Keys)[]
        {
            ("no limits", [await MakeKeyAsync(client, -1, "{}")]),
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
            foreach (var way in ways)
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
        // Each round is a pair, so that noise that lasts longer than a round affects both sides.
        report.AppendLine(CultureInfo.InvariantCulture,
            $"Eight limits / none: {PairedRatio(cpu[ways[1].Name], cpu[ways[0].Name]):0.00} × (goal at most 1.08). "
            + $"{organizations} organizations / {Few}: {PairedRatio(cpu[ways[3].Name], cpu[ways[2].Name]):0.00} × (goal at most 1.10). "
            + $"Errors: {errors}.");
        report.AppendLine();
    }

    private static async Task<string> MakeKeyAsync(HttpClient client, int number, string limits)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"limits {number}");
        var organization = await PostAsync(client, "/admin/v1/organizations", $$"""{"name":"{{name}}","limits":{{limits}}}""", "id");
        var project = await PostAsync(client, "/admin/v1/projects", $$"""{"name":"{{name}}","organization_id":"{{organization}}"}""", "id");
        return await PostAsync(client, "/admin/v1/keys",
            $$"""{"name":"{{name}}","project_id":"{{project}}","scopes":["chat"],"limits":{{limits}}}""", "secret");
    }

    private static async Task<string> PostAsync(HttpClient client, string path, string body, string member)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await client.PostAsync(new Uri(path, UriKind.Relative), content);
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty(member).GetString()!;
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }

    private static double PairedRatio(List<double> with, List<double> without) =>
        Median(with.Zip(without, (one, other) => one / other));
}
