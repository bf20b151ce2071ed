using System.ClientModel;
using System.Diagnostics;
using System.Text.Json;
using Anthropic;
using Anthropic.Models.Messages;
using Fairlead.FunctionalTests.Caching;
using Fairlead.FunctionalTests.Clients;
using Fairlead.FunctionalTests.Common;
using OpenAI.Chat;

namespace Fairlead.FunctionalTests.Rescue;

/// <summary>Streams of the simulated provider, which are translated, through the official clients and Fairlead's own dialect.</summary>
public sealed class SimulatedRescueTests : IAsyncLifetime
{
    private static readonly string Long = string.Concat(Enumerable.Range(0, 400).Select(i => $"word{i % 7} 漢字 😀{i}, "));

    private static readonly string[] Faults =
        ["ttft=0ms", "cut_after=1", "cut_after=7", "cut_after=40", "stall_after=5", "status=503", "reset", "no_done"];

    private static readonly string[] Paths = ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v2/generations"];

    private static readonly bool IsFull = Environment.GetEnvironmentVariable("FAIRLEAD_TEST_FULL") == "1";

    /// <summary>Tokens per second of the stream that is lost.</summary>
    private static readonly int Speed = IsFull ? 50 : 500;

    private TestGateway _gateway = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var providers = string.Concat(Faults.Select((fault, i) =>
            $"    p{i}: {{ kind: simulated, timeouts: {{ streamIdle: 100ms, response: 500ms }}, simulation: {{ firstToken: 0ms, tokensPerSecond: 100000, faults: \"{fault}\" }} }}\n"));
        var random = new Random(7);
        var models = string.Concat(Enumerable.Range(0, 40).Select(i => Model($"r{i}", random.Next(Faults.Length), random.Next(Faults.Length), random.Next(Faults.Length))));
        _gateway = await TestGateway.StartAsync(
            "fairlead:\n  breaker: { enabled: false }\n  retry: { maxRetries: 0 }\n  providers:\n" + providers
            + $"    slow: {{ kind: simulated, simulation: {{ firstToken: 1ms, tokensPerSecond: {Speed}, faults: \"cut_after=500\" }} }}\n"
            + $"    slow2: {{ kind: simulated, simulation: {{ firstToken: 1ms, tokensPerSecond: {Speed} }} }}\n"
            + "  models:\n" + Model("cut", 3, 0, 0) + models
            + "    json: { contextWindow: 100000, maxOutputTokens: 20000, tokenizer: o200k, prices: { input: 1, output: 10 }, deployments: [{ provider: p2, model: sim-json, priority: 1 }, { provider: p0, model: sim-json, priority: 2 }] }\n"
            + "    figure: { contextWindow: 100000, maxOutputTokens: 20000, tokenizer: o200k, prices: { input: 1, output: 10 }, deployments: [{ provider: slow, model: sim-echo, priority: 1 }, { provider: slow2, model: sim-echo, priority: 2 }] }\n");
    }

    public ValueTask DisposeAsync() => _gateway.DisposeAsync();

    [Fact]
    public async Task OpenAiClient_StreamLost_SeesOneWholeResponse()
    {
        var client = new ChatClient("cut", new ApiKeyCredential(_gateway.Key), OpenAiOptions.For(_gateway));
        var seen = await SeenChat.AskAsync(client, [new UserChatMessage(Long)], new ChatCompletionOptions(), streams: true, Token);
        Assert.Equal(Long, seen.Text.ToString());
        Assert.Equal(ChatFinishReason.Stop, seen.Finish);
    }

    [Fact]
    public async Task AnthropicClient_StreamLost_SeesOneWholeMessage()
    {
        using var client = new AnthropicClient { ApiKey = _gateway.Key, AuthToken = null, BaseUrl = _gateway.Url, MaxRetries = 0, ResponseValidation = true };
        var asking = new MessageCreateParams { Model = "cut", MaxTokens = 10_000, Messages = [new UserMessageParam(Long)] };
        var seen = await SeenMessage.ReadAsync(client.Messages.CreateStreaming(asking, Token));
        Assert.Equal(Long, seen.Text.ToString());
        Assert.True(seen.Started && seen.Stopped);
        Assert.Equal(StopReason.EndTurn, seen.StopReason);
    }

    [Theory]
    [InlineData("/v1/responses", "")]
    [InlineData("/v2/generations", "")]
    [InlineData("/v2/generations", ",\"delivery\":{\"mode\":\"stream\",\"on_disconnect\":\"continue\"}")]
    public async Task OwnAndResponses_StreamLost_NumbersAndTextAreWhole(string path, string more)
    {
        var stream = path == "/v1/responses" ? "\"stream\":true," : "";
        var seen = await _gateway.Client.PostForStreamAsync(path, $$"""{"model":"cut",{{stream}}"input":{{JsonSerializer.Serialize(Long)}}{{more}}}""");
        Assert.False(seen.Broken);
        var events = seen.Events.Where(one => one.Data != "[DONE]").Select(one => one.Json).ToList();
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(one => one.GetProperty("sequence_number").GetInt32()));
        Assert.Equal(Long, string.Concat(events.Where(one => one.GetProperty("type").GetString()!.EndsWith("output_text.delta", StringComparison.Ordinal)
            || one.GetProperty("type").GetString() == "output.text.delta").Select(one => (one.TryGetProperty("delta", out var delta) ? delta : one.GetProperty("text")).GetString())));
        Assert.EndsWith(".completed", events[^1].GetProperty("type").GetString(), StringComparison.Ordinal);
        Assert.Contains("stream_rescued", seen.Raw, StringComparison.Ordinal);
    }

    [Fact]
    public async Task StructuredOutput_StreamLost_DocumentIsWholeAndValid()
    {
        var seen = await _gateway.Client.PostForStreamAsync("/v1/chat/completions", """
            {"model":"json","stream":true,"messages":[{"role":"user","content":"x"}],"fairlead":{"structured":"partial"},
             "response_format":{"type":"json_schema","json_schema":{"name":"o","schema":{"type":"object","additionalProperties":false,
              "properties":{"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"string"}},"required":["a","b","c"]}}}}
            """);
        Assert.False(seen.Broken, seen.Raw);
        var chunks = seen.Events.SkipLast(1).Select(one => one.Json).ToList();
        var text = string.Concat(chunks.Where(chunk => chunk.GetProperty("choices").GetArrayLength() > 0)
            .Select(chunk => chunk.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out var piece) ? piece.GetString() : ""));
        Assert.Equal(3, JsonDocument.Parse(text).RootElement.EnumerateObject().Count());
        var last = chunks[^1].GetProperty("fairlead");
        Assert.True(last.GetProperty("quality").GetProperty("schema_valid").GetBoolean());
        Assert.Contains("stream_rescued", last.GetProperty("warnings").EnumerateArray().Select(warning => warning.GetProperty("code").GetString()));
    }

    [Fact]
    public async Task Job_StreamLost_StoresWholeText()
    {
        var job = await _gateway.Client.PostForJsonAsync("/v2/generations", $$"""{"model":"cut","input":{{JsonSerializer.Serialize(Long)}},"delivery":{"mode":"job"} }""", System.Net.HttpStatusCode.Accepted);
        using var response = await _gateway.Client.GetAsync($"/v2/generations/{job.GetProperty("id").GetString()}/events", Token);
        var seen = await SeenStream.ReadAsync(response, Token);
        var last = seen.Events[^1].Json;
        Assert.Equal(Long, last.GetProperty("generation").GetProperty("output_text").GetString());
    }

    /// <summary>Random faults of three deployments: whole or a stated error, and every attempt is paid for.</summary>
    [Fact]
    public async Task Generations_RandomFaults_AreExactOrFailAndChargedByAttempts()
    {
        var count = IsFull ? 1000 : 120;
        var (whole, lost) = (0, 0);
        var charged = 0m;
        var (secret, key) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\",\"usage:read\"],\"limits\":{\"usd_per_day\":1000}");
        using var client = _gateway.MakeClient(secret);
        await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Token }, async (i, _) =>
        {
            var text = Long[..(20 + (i * 37 % 2000))];
            if (char.IsHighSurrogate(text[^1])) text = text[..^1];
            var (path, streams) = (Paths[i % Paths.Length], i / Paths.Length % 2 == 0);
            using var response = await client.PostJsonAsync(path, Body(path, $"r{i % 40}", text, streams));
            if (!response.IsSuccessStatusCode)
            {
                // An error before any content, which says that the provider failed.
                Assert.Contains("provider_", await response.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
                Interlocked.Increment(ref lost);
                return;
            }
            var seen = streams
                ? new Seen(200, null, null, (await SeenStream.ReadAsync(response, Token)).Raw)
                : new Seen(200, null, null, await response.Content.ReadAsStringAsync(Token));
            var fairlead = seen.Fairlead;
            var cost = fairlead.GetProperty("cost").GetProperty("usd").GetDecimal();
            Assert.Equal(cost, fairlead.GetProperty("attempts").EnumerateArray().Sum(attempt => attempt.GetProperty("cost_usd").GetDecimal()));
            lock (_gateway) charged += cost;
            if (fairlead.GetProperty("outcome").GetString() == "complete")
            {
                Assert.Equal(text, seen.Text);
                Interlocked.Increment(ref whole);
            }
            else
            {
                Assert.Equal("provider_lost", fairlead.GetProperty("outcome").GetString());
                Assert.StartsWith(seen.Text, text, StringComparison.Ordinal);
                Interlocked.Increment(ref lost);
            }
        });
        Assert.True(whole > count / 2, $"{whole} whole, {lost} lost");
        var limits = (await client.GetJsonAsync("/v2/limits")).GetProperty("limits").EnumerateArray();
        var spent = limits.Single(limit => limit.GetProperty("name").GetString() == "usd_per_day" && limit.GetProperty("scope").GetString() == "key");
        Assert.True(charged > 0);
        // Attempts of calls that failed before any content are charged too; the ledger has them.
        var recorded = 0m;
        for (var requests = 0L; requests < count;)
        {
            var usage = (await _gateway.Admin.GetJsonAsync($"/admin/v1/usage?key_id={key}&group_by=key")).GetProperty("data").EnumerateArray().ToList();
            (requests, recorded) = (usage.Sum(row => row.GetProperty("requests").GetInt64()), usage.Sum(row => row.GetProperty("cost_usd").GetDecimal()));
            if (requests < count) await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, Token);
        }
        Assert.InRange(charged, 0.000001m, recorded);
        Assert.Equal((recorded, 0m), (spent.GetProperty("used").GetDecimal(), spent.GetProperty("reserved").GetDecimal()));
    }

    /// <summary>The gap lasts as long as the other run needs to reach the same token: ten seconds at 50 tokens a second.</summary>
    [Fact]
    public async Task Stream_LostAtToken500Of1000_GapIsThatOfTheOtherRun()
    {
        var text = string.Concat(Enumerable.Range(0, 1000).Select(i => $" {(char)('a' + (i % 26))}"));
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = new StringContent($$"""{"model":"figure","stream":true,"messages":[{"role":"user","content":{{JsonSerializer.Serialize(text)}}}]}""", null, "application/json"),
        };
        using var response = await _gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Token));
        var (said, longest, watch) = (new System.Text.StringBuilder(), TimeSpan.Zero, Stopwatch.StartNew());
        while (await reader.ReadLineAsync(Token) is { } line)
        {
            if (!line.StartsWith("data: {", StringComparison.Ordinal)) continue;
            if (watch.Elapsed > longest) longest = watch.Elapsed;
            watch.Restart();
            var chunk = JsonDocument.Parse(line[6..]).RootElement;
            if (chunk.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out var content)) said.Append(content.GetString());
        }
        Assert.Equal(text, said.ToString());
        Assert.InRange(longest.TotalSeconds, 250.0 / Speed, 500.0 / Speed + 4);
    }

    private static string Body(string path, string model, string text, bool streams)
    {
        var (said, stream) = (JsonSerializer.Serialize(text), streams ? "true" : "false");
        return path switch
        {
            "/v1/messages" => $$"""{"model":"{{model}}","max_tokens":10000,"stream":{{stream}},"messages":[{"role":"user","content":{{said}}}]}""",
            "/v1/responses" => $$"""{"model":"{{model}}","stream":{{stream}},"input":{{said}}}""",
            "/v2/generations" => $$"""{"model":"{{model}}","input":{{said}},"delivery":{"mode":"{{(streams ? "stream" : "sync")}}"} }""",
            _ => $$"""{"model":"{{model}}","stream":{{stream}},"messages":[{"role":"user","content":{{said}}}]}""",
        };
    }

    private static string Model(string name, int first, int second, int third)
    {
        // One deployment is listed once.
        var chosen = new List<int> { first };
        foreach (var other in (int[])[second, third])
        {
            var next = other;
            while (chosen.Contains(next)) next = (next + 1) % Faults.Length;
            chosen.Add(next);
        }
        var deployments = string.Join(", ", chosen.Select((at, i) => $"{{ provider: p{at}, model: sim-echo, priority: {i + 1} }}"));
        return $"    {name}: {{ contextWindow: 100000, maxOutputTokens: 20000, tokenizer: o200k, prices: {{ input: 1, output: 10 }}, deployments: [{deployments}] }}\n";
    }
}
