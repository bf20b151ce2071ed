using System.Globalization;
using System.Text;

namespace Fairlead.Benchmarks;

/// <summary>
/// Fairlead, bare YARP and a direct call, in turn within one run, so that noise of the machine affects all. The stable measure is processor
/// time of the gateway per call; wall-clock figures are printed beside it.
/// </summary>
internal static class Comparison
{
    private const string Key = "bench-administration-key-0001";

    /// <summary>Time until the runtime has compiled the hot path with its profile: seconds, on two busy cores.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(50);

    public static async Task<int> RunAsync(string[] arguments)
    {
        var options = Parse(arguments);
        var server = Path.GetFullPath(options.GetValueOrDefault("server", ""));
        if (!File.Exists(server))
            throw new FileNotFoundException($"--server must name the published Fairlead.Server.dll; '{server}' does not exist.");
        var seconds = TimeSpan.FromSeconds(double.Parse(options.GetValueOrDefault("seconds", "8"), CultureInfo.InvariantCulture));
        var rounds = int.Parse(options.GetValueOrDefault("rounds", "3"), CultureInfo.InvariantCulture);
        var streams = int.Parse(options.GetValueOrDefault("streams", "1000"), CultureInfo.InvariantCulture);
        var self = System.Environment.ProcessPath!;

        var only = options.GetValueOrDefault("only");
        var start = only is null or "start"
            ? await StartUp.MeasureAsync(server, int.Parse(options.GetValueOrDefault("starts", "7"), CultureInfo.InvariantCulture)) : "";
        if (only == "start")
        {
            Console.WriteLine(start);
            return 0;
        }
        var data = Directory.CreateTempSubdirectory("fairlead-bench-");
        try
        {
            using var upstream = await ChildProcess.StartAsync(self, ["upstream", Url(out var upstreamUrl)], upstreamUrl, "/");
            using var yarp = await ChildProcess.StartAsync(self, ["yarp", Url(out var yarpUrl), upstreamUrl], yarpUrl, "/");
            var config = Path.Combine(data.FullName, "fairlead.yaml");
            string Configuration(string more) => $$"""
                fairlead:
                  {{more}}
                {{(only == "cache" ? "  cache: { enabled: true }" : "")}}
                  providers:
                    bench: { kind: openai, baseUrl: {{upstreamUrl}}/v1, apiKey: none }
                  models:
                    m-sync: { contextWindow: 1050000, maxOutputTokens: 16000, prices: { input: 1, output: 5 }, tokenizer: o200k, capabilities: { tools: true, jsonSchema: true, logprobs: true }, deployments: [{ provider: bench }] }
                    m-100ms-50: { contextWindow: 1050000, maxOutputTokens: 16000, prices: { input: 1, output: 5 }, tokenizer: o200k, capabilities: { tools: true, jsonSchema: true, logprobs: true }, deployments: [{ provider: bench }] }
                    m-20ms-100: { contextWindow: 1050000, maxOutputTokens: 16000, prices: { input: 1, output: 5 }, tokenizer: o200k, capabilities: { tools: true, jsonSchema: true, logprobs: true }, deployments: [{ provider: bench }] }
                    m-5ms-500: { contextWindow: 1050000, maxOutputTokens: 16000, prices: { input: 1, output: 5 }, tokenizer: o200k, capabilities: { tools: true, jsonSchema: true, logprobs: true }, deployments: [{ provider: bench }] }
                    m-5ms-600: { contextWindow: 1050000, maxOutputTokens: 16000, prices: { input: 1, output: 5 }, tokenizer: o200k, capabilities: { tools: true, jsonSchema: true, logprobs: true }, deployments: [{ provider: bench }] }
                """;
            await File.WriteAllTextAsync(config, Configuration(""));
            Dictionary<string, string> Environment(string folder) => new()
            {
                ["FAIRLEAD_CONFIG"] = config,
                ["FAIRLEAD_DATA"] = Path.Combine(data.FullName, folder),
                ["FAIRLEAD_ADMIN_KEY"] = Key,
                ["Logging__LogLevel__Default"] = "Warning",
            };
            if (only == "limit-stores")
            {
                var stores = new StringBuilder();
                await LimitStores.MeasureAsync(stores, StartAsync, Key, Body("m-sync", false, 2_000), rounds, seconds, WarmUp);
                Console.WriteLine(stores);
                return 0;
            }
            if (only == "policies")
            {
                var policies = new StringBuilder();
                await PolicyLoad.MeasureAsync(policies, StartAsync, MakeKeyAsync, rounds, seconds, WarmUp);
                Console.WriteLine(policies);
                return 0;
            }
            async Task<ChildProcess> StartAsync(string folder, string more, IReadOnlyDictionary<string, string> variables)
            {
                var own = Path.Combine(data.FullName, folder + ".yaml");
                await File.WriteAllTextAsync(own, Configuration(more));
                var environment = Environment(folder);
                environment["FAIRLEAD_CONFIG"] = own;
                foreach (var (name, value) in variables) environment[name] = value;
                return await ChildProcess.StartAsync("dotnet", [server, "--urls", Url(out var url)], url, "/livez", environment);
            }
            var fairleadPort = Url(out var fairleadUrl);
            using var fairlead = await ChildProcess.StartAsync("dotnet", [server, "--urls", fairleadPort], fairleadUrl, "/livez",
                Environment("data"));
            var key = await MakeKeyAsync(fairleadUrl);
            using var beside = options.TryGetValue("beside", out var other)
                ? await ChildProcess.StartAsync("dotnet", [Path.GetFullPath(other), "--urls", Url(out var besideUrl)], besideUrl, "/livez",
                    Environment("beside"))
                : null;
            var besideKey = beside is null ? null : await MakeKeyAsync(beside.Url);

            var report = new StringBuilder();
            report.AppendLine(CultureInfo.InvariantCulture,
                $"Machine: {System.Environment.ProcessorCount} cores, .NET {System.Environment.Version}; "
                + $"load generator, upstream and gateways share them. {rounds} rounds of "
                + $"{seconds.TotalSeconds:0} s each, in alternation; medians.");
            report.AppendLine();
            report.Append(start);
            if (only is null or "jobs") await Jobs.MeasureAsync(report, key, fairlead);
            if (only == "jobs")
            {
                Console.WriteLine(report);
                return 0;
            }
            if (only == "limits")
            {
                var organizations = int.Parse(options.GetValueOrDefault("organizations", "10000"), CultureInfo.InvariantCulture);
                await LimitLoad.MeasureAsync(report, Key, Body("m-sync", false, 2_000), fairlead, organizations, rounds, seconds, WarmUp);
                await LimitStores.MeasureAsync(report, StartAsync, Key, Body("m-sync", false, 2_000), rounds, seconds, WarmUp / 2);
                Console.WriteLine(report);
                return 0;
            }
            if (only == "cache")
            {
                await CacheLoad.MeasureAsync(report, rounds, seconds, WarmUp, key, fairlead);
                Console.WriteLine(report);
                return 0;
            }
            (ChildProcess, string)? besideTarget = beside is null ? null : (beside, besideKey!);
            if (only == "batching")
            {
                await Batching.MeasureAsync(report, rounds, key, fairlead, yarp, besideTarget);
                Console.WriteLine(report);
                if (options.TryGetValue("out", out var batching)) await File.WriteAllTextAsync(batching, report.ToString());
                return 0;
            }
            List<Target> targets = [new("direct", upstream, null), new("YARP", yarp, null), new("Fairlead", fairlead, key)];
            if (beside is not null) targets.Add(new("beside", beside, besideKey));
            await CallsAsync(report, "Non-stream chat, 2 KB, same dialect, 64 connections", Body("m-sync", false, 2_000), 64, rounds,
                seconds, targets);
            if (only != "chat")
            {
                await CallsAsync(report, "Non-stream chat, 200 KB, same dialect, 16 connections", Body("m-sync", false, 200_000), 16,
                    rounds, seconds / 2, targets);
                await StreamsAsync(report, streams, key, upstream, yarp, fairlead);
                await Batching.MeasureAsync(report, rounds, key, fairlead, yarp, besideTarget);
            }
            Console.WriteLine(report);
            if (options.TryGetValue("out", out var file)) await File.WriteAllTextAsync(file, report.ToString());
            return 0;
        }
        finally
        {
            data.Delete(recursive: true);
        }
    }

    private static async Task CallsAsync(StringBuilder report, string title, string body, int connections, int rounds, TimeSpan seconds,
        List<Target> targets)
    {
        var path = "/v1/chat/completions";
        foreach (var (_, process, targetKey) in targets) await Load.CallsAsync(process.Url + path, targetKey, body, connections, WarmUp);

        var measured = targets.ToDictionary(target => target.Name, _ =>
            new List<(double Cpu, double Rate, double P50, double P99, long Errors)>());
        for (var round = 0; round < rounds; round++)
        {
            // Every second round runs backwards: the first of two gateways in a row was measured several percent dearer than the second.
            foreach (var (name, process, targetKey) in round % 2 == 0 ? targets : Enumerable.Reverse(targets))
            {
                var before = process.ProcessorTime();
                var result = await Load.CallsAsync(process.Url + path, targetKey, body, connections, seconds);
                var cpu = (process.ProcessorTime() - before).TotalMicroseconds / Math.Max(1, result.Calls);
                measured[name].Add((cpu, result.PerSecond, result.Microseconds.GetValueAtPercentile(50),
                    result.Microseconds.GetValueAtPercentile(99), result.Errors));
            }
        }

        report.AppendLine(CultureInfo.InvariantCulture, $"### {title}");
        report.AppendLine();
        report.AppendLine("| | CPU µs per call | calls/s | p50 µs | p99 µs | errors |");
        report.AppendLine("|---|---|---|---|---|---|");
        foreach (var (name, values) in measured)
        {
            report.AppendLine(CultureInfo.InvariantCulture,
                $"| {name} | {Median(values, v => v.Cpu):0.0} | {Median(values, v => v.Rate):0} "
                + $"| {Median(values, v => v.P50):0} | {Median(values, v => v.P99):0} | {values.Sum(v => v.Errors)} |");
        }
        report.AppendLine();
        report.AppendLine(CultureInfo.InvariantCulture,
            $"Fairlead / YARP: CPU {Ratio(measured, v => v.Cpu):0.00} ×, throughput {Ratio(measured, v => v.Rate):0.00} ×.");
        if (measured.TryGetValue("beside", out var others))
        {
            var ratios = measured["Fairlead"].Zip(others, (own, other) => own.Cpu / other.Cpu).Order().ToArray();
            report.AppendLine(CultureInfo.InvariantCulture,
                $"Fairlead / beside: CPU {ratios[ratios.Length / 2]:0.00} ×, the median of {ratios.Length} pairs ({ratios[0]:0.00} to {ratios[^1]:0.00}).");
        }
        report.AppendLine();
    }

    private static async Task StreamsAsync(StringBuilder report, int count, string key, ChildProcess upstream, ChildProcess yarp,
        ChildProcess fairlead)
    {
        report.AppendLine(CultureInfo.InvariantCulture, $"### {count} concurrent streams, 50 tokens, one every 100 ms");
        report.AppendLine();
        report.AppendLine("| | complete | errors | first content p50 ms | p99 ms | CPU ms per 1,000 tokens | memory per stream KB |");
        report.AppendLine("|---|---|---|---|---|---|---|");
        var first = new Dictionary<string, double>();
        foreach (var (name, process, targetKey) in new (string, ChildProcess, string?)[] { ("direct", upstream, null),
            ("YARP", yarp, null), ("Fairlead", fairlead, key) })
        {
            var body = Body("m-100ms-50", true, 500);
            await Load.StreamsAsync(process.Url + "/v1/chat/completions", targetKey, body, 50);
            var before = process.ResidentBytes();
            long during = 0;
            var cpu = process.ProcessorTime();
            var result = await Load.StreamsAsync(process.Url + "/v1/chat/completions", targetKey, body, count, () =>
                { during = process.ResidentBytes(); return Task.CompletedTask; });
            var used = (process.ProcessorTime() - cpu).TotalMilliseconds / (count * 50 / 1000.0);
            first[name] = result.Microseconds.GetValueAtPercentile(50) / 1000.0;
            report.AppendLine(CultureInfo.InvariantCulture,
                $"| {name} | {result.Calls} | {result.Errors} | {first[name]:0.00} "
                + $"| {result.Microseconds.GetValueAtPercentile(99) / 1000.0:0.00} | {used:0.0} "
                + $"| {Math.Max(0, during - before) / 1024.0 / count:0.0} |");
        }
        report.AppendLine();
        report.AppendLine(CultureInfo.InvariantCulture,
            $"Added first content p50 over the direct call: Fairlead {first["Fairlead"] - first["direct"]:0.00} ms, "
            + $"YARP {first["YARP"] - first["direct"]:0.00} ms.");
        report.AppendLine();
    }

    private static async Task<string> MakeKeyAsync(string url)
    {
        using var client = new HttpClient { BaseAddress = new Uri(url) };
        client.DefaultRequestHeaders.Authorization = new("Bearer", Key);
        var organization = await PostAsync(client, "/admin/v1/organizations", """{"name":"bench"}""");
        var project = await PostAsync(client, "/admin/v1/projects",
            $$"""{"name":"bench","organization_id":"{{organization.GetProperty("id").GetString()}}"}""");
        var made = await PostAsync(client, "/admin/v1/keys",
            $$"""{"name":"bench","project_id":"{{project.GetProperty("id").GetString()}}","scopes":["chat"]}""");
        return made.GetProperty("secret").GetString()!;
    }

    private static async Task<System.Text.Json.JsonElement> PostAsync(HttpClient client, string path, string body)
    {
        using var response = await client.PostAsync(new Uri(path, UriKind.Relative),
            new StringContent(body, Encoding.UTF8, "application/json"));
        var text = await response.Content.ReadAsStringAsync();
        if (!response.IsSuccessStatusCode) throw new InvalidOperationException($"{path}: {(int)response.StatusCode} {text}");
        return System.Text.Json.JsonDocument.Parse(text).RootElement;
    }

    private static string Body(string model, bool stream, int size)
    {
        var text = new StringBuilder(size);
        while (text.Length < size) text.Append("The quick brown fox jumps over the lazy dog while the gateway looks on. ");
        return $$"""{"model":"{{model}}","stream":{{(stream ? "true" : "false")}},"messages":["""
            + $$"""{"role":"system","content":"You are brief."},{"role":"user","content":"{{text}}"}],"max_tokens":256}""";
    }

    private sealed record Target(string Name, ChildProcess Process, string? Key);

    private static string Url(out string url) => url = $"http://127.0.0.1:{ChildProcess.FreePort()}";

    private static double Median<T>(List<T> values, Func<T, double> of)
    {
        var sorted = values.Select(of).Order().ToArray();
        return sorted[sorted.Length / 2];
    }

    private static double Ratio<T>(Dictionary<string, List<T>> measured, Func<T, double> of) =>
        Median(measured["Fairlead"], of) / Median(measured["YARP"], of);

    private static Dictionary<string, string> Parse(string[] arguments)
    {
        var options = new Dictionary<string, string>();
        for (var i = 0; i + 1 < arguments.Length; i += 2) options[arguments[i].TrimStart('-')] = arguments[i + 1];
        return options;
    }
}
