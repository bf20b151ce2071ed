using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Policies.Matching;

namespace Fairlead.Benchmarks;

/// <summary>
/// What a dozen rules of all local kinds cost a call: the gateway's processor time per call with the rules and without. Both gateways are
/// of the same build and take turns, every second round backwards.
/// </summary>
internal static class PolicyLoad
{
    /// <param name="report">Gets the table.</param>
    /// <param name="startAsync">
    /// Starts a gateway with its data in a folder of this name, with more lines of configuration and more of the environment.
    /// </param>
    /// <param name="makeKeyAsync">Makes a client key at the gateway of this address.</param>
    /// <param name="rounds">Pairs of rounds.</param>
    /// <param name="seconds">Length of a round.</param>
    /// <param name="warmUp">Before the first one.</param>
    public static async Task MeasureAsync(StringBuilder report,
        Func<string, string, IReadOnlyDictionary<string, string>, Task<ChildProcess>> startAsync, Func<string, Task<string>> makeKeyAsync,
        int rounds, TimeSpan seconds, TimeSpan warmUp)
    {
        using var without = await startAsync("without", "", new Dictionary<string, string>());
        using var with = await startAsync("with", "contentPolicy: { policies: { dozen: { rules: " + Rules() + " } } }", new Dictionary<string, string>());
        var ways = new[]
        {
            new Way("without rules", without, await makeKeyAsync(without.Url)), new Way("a dozen rules", with, await makeKeyAsync(with.Url)),
        };
        foreach (var content in (string[])["prose", "data"])
        {
            var body = JsonSerializer.Serialize(new
            {
                model = "m-sync",
                messages = new[] { new { role = "user", content = PolicyBenchmarks.TextOf(content) } },
                max_tokens = 256,
            });
            foreach (var way in ways) await Load.CallsAsync(way.Url, way.Key, body, 64, warmUp);
            foreach (var way in ways) way.Cpu.Clear();
            long errors = 0;
            for (var round = 0; round < rounds; round++)
            {
                foreach (var way in round % 2 == 0 ? ways : Enumerable.Reverse(ways))
                {
                    var before = way.Process.ProcessorTime();
                    var result = await Load.CallsAsync(way.Url, way.Key, body, 64, seconds);
                    way.Cpu.Add((way.Process.ProcessorTime() - before).TotalMicroseconds / Math.Max(1, result.Calls));
                    errors += result.Errors;
                }
            }
            report.AppendLine(CultureInfo.InvariantCulture, $"### Content policy: a dozen rules, non-stream chat, 2 KB of {content}, 64 connections");
            report.AppendLine();
            report.AppendLine("| | CPU µs per call |");
            report.AppendLine("|---|---|");
            // The ratio first: the median sorts the rounds.
            var ratio = LimitLoad.PairedRatio(ways[1].Cpu, ways[0].Cpu);
            foreach (var way in ways) report.AppendLine(CultureInfo.InvariantCulture, $"| {way.Name} | {LimitLoad.Median(way.Cpu):0.0} |");
            report.AppendLine();
            report.AppendLine(CultureInfo.InvariantCulture,
                $"With / without: {ratio:0.00} × (goal at most 1.30), of {rounds} pairs of rounds. Errors: {errors}.");
            report.AppendLine();
        }
    }

    /// <summary>The rules of <see cref="PolicyBenchmarks"/> as the configuration file has them.</summary>
    private static string Rules() => new JsonArray([.. PolicyBenchmarks.DozenRules().Select(RuleJson)]).ToJsonString();

    private static JsonObject RuleJson(PolicyRule rule)
    {
        var json = new JsonObject
        {
            ["id"] = rule.Id,
            ["type"] = JsonNamingPolicy.SnakeCaseLower.ConvertName(rule.Type.ToString()),
            ["action"] = JsonNamingPolicy.SnakeCaseLower.ConvertName(rule.Action.ToString()),
            ["direction"] = JsonNamingPolicy.SnakeCaseLower.ConvertName(rule.Direction.ToString()),
        };
        if (rule.Words is { Count: > 0 } words) json["words"] = new JsonArray([.. words.Select(word => (JsonNode)word)]);
        if (rule.Kinds is { Count: > 0 } kinds) json["kinds"] = new JsonArray([.. kinds.Select(kind => (JsonNode)kind)]);
        if (rule.Pattern is { Length: > 0 } pattern) (json["pattern"], json["maxMatchLength"]) = (pattern, rule.MaxMatchLength);
        if (rule.Restore) json["restore"] = true;
        return json;
    }

    private sealed record Way(string Name, ChildProcess Process, string Key)
    {
        public string Url => Process.Url + "/v1/chat/completions";

        public List<double> Cpu { get; } = [];
    }
}
