using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Pipeline;

/// <summary>
/// Usage in the forms that servers report it, in every dialect, whole and streamed. Checks the charge, the record and the usage sent to the
/// client.
/// </summary>
public sealed class UsageTests : IAsyncLifetime
{
    private const string Text = "Fourteen words are more than enough to see whether the tokens of this text are counted.";

    private FakeUpstream _upstream = null!;
    private TestGateway? _gateway;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, bool> Dialects
    {
        get
        {
            var rows = new TheoryData<string, bool>();
            foreach (var path in new[] { "/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions", "/v2/generations" })
            {
                rows.Add(path, false);
                rows.Add(path, true);
            }
            return rows;
        }
    }

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync();

    public async ValueTask DisposeAsync()
    {
        if (_gateway is not null) await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [MemberData(nameof(Dialects))]
    public async Task Usage_Implausible_IsEstimatedEverywhere(string path, bool stream)
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        foreach (var usage in new[]
        {
            """{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}""",
            "{}",
            "null",
            """{"prompt_tokens":-4,"completion_tokens":-9}""",
            """{"prompt_tokens":1000000000000000000,"completion_tokens":1000000000000000000,"total_tokens":2000000000000000000}""",
            """{"total_tokens":30}""",
        })
        {
            _upstream.Answer = context => AnswerAsync(context, usage);
            var (body, record) = await CallAsync(path, stream);
            var used = record.GetProperty("usage");
            Assert.True(used.GetProperty("basis").GetString() == "estimated", $"{usage}: {record}");
            Assert.InRange(used.GetProperty("input_tokens").GetInt64(), 5, 60);
            Assert.InRange(used.GetProperty("output_tokens").GetInt64(), 10, 30);
            Assert.InRange(record.GetProperty("cost_usd").GetDecimal(), 0.0001m, 0.001m);
            Assert.Equal("estimated", record.GetProperty("attempts")[0].GetProperty("usage").GetProperty("basis").GetString());
            Assert.Contains("\"basis\":\"estimated\"", body, StringComparison.Ordinal);
            // The client reads nothing that it is not charged for.
            Assert.DoesNotContain("1000000000000000000", body, StringComparison.Ordinal);
            if (usage != "null") Assert.Contains("usage_estimated", body, StringComparison.Ordinal);
        }
        // The sums hold what the records hold.
        using var sums = await _gateway.Admin.GetAsync(new Uri("/admin/v1/usage", UriKind.Relative), Cancel);
        var totals = JsonDocument.Parse(await sums.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("totals");
        Assert.InRange(totals.GetProperty("output_tokens").GetInt64(), 60, 180);
        Assert.InRange(totals.GetProperty("cost_usd").GetDecimal(), 0.0006m, 0.006m);
    }

    [Theory]
    [MemberData(nameof(Dialects))]
    public async Task Usage_InVendorFormat_IsMeasured(string path, bool stream)
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        foreach (var (usage, input, cached, output) in new[]
        {
            ("""{"prompt_tokens":10,"completion_tokens":15,"total_tokens":125,"completion_tokens_details":{"reasoning_tokens":100}}""", 10, 0, 115),
            ("""{"prompt_tokens":10,"completion_tokens":15,"total_tokens":105,"prompt_tokens_details":{"cached_tokens":80}}""", 90, 80, 15),
            ("""{"prompt_tokens":90,"completion_tokens":15,"total_tokens":105,"cached_tokens":80}""", 90, 80, 15),
            ("""{"prompt_tokens":90,"completion_tokens":15,"total_tokens":105,"prompt_cache_hit_tokens":80,"prompt_cache_miss_tokens":10}""", 90, 80, 15),
            ("""{"prompt_tokens":"90","completion_tokens":15.0}""", 90, 0, 15),
            ("""{"input_tokens":90,"output_tokens":15}""", 90, 0, 15),
            ("""{"prompt_eval_count":90,"eval_count":15}""", 90, 0, 15),
            ("""{"promptTokenCount":90,"candidatesTokenCount":5,"thoughtsTokenCount":10,"totalTokenCount":105}""", 90, 0, 15),
        })
        {
            _upstream.Answer = context => AnswerAsync(context, usage);
            var (_, record) = await CallAsync(path, stream);
            var used = record.GetProperty("usage");
            Assert.True(
                (input, cached, output, "measured") == (used.GetProperty("input_tokens").GetInt32(), used.GetProperty("cached_input_tokens").GetInt32(), used.GetProperty("output_tokens").GetInt32(), used.GetProperty("basis").GetString()),
                $"{usage}: {used}");
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Usage_InsideChoice_IsMeasured(bool messages)
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk($$"""{"role":"assistant","content":"{{Text}}"}"""),
                """{"id":"chatcmpl-up","object":"chat.completion.chunk","created":1700000000,"model":"upstream-m","choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":90,"completion_tokens":15,"total_tokens":105}}]}""", "[DONE]");
        };
        var (_, record) = await CallAsync(messages ? "/v1/messages" : "/v1/chat/completions", stream: true);
        Assert.Equal("""{"input_tokens":90,"cached_input_tokens":0,"cache_write_tokens":0,"output_tokens":15,"reasoning_tokens":0,"basis":"measured"}""", record.GetProperty("usage").ToString());
    }

    [Theory]
    // Only at the start, before any output.
    [InlineData("\"usage\":{\"input_tokens\":40,\"output_tokens\":1}", "", 40, 0, "estimated")]
    [InlineData("\"usage\":{\"input_tokens\":40,\"output_tokens\":1}", ",\"usage\":{}", 40, 0, "estimated")]
    [InlineData("\"usage\":{\"input_tokens\":40,\"output_tokens\":1}", ",\"usage\":null", 40, 0, "estimated")]
    [InlineData("\"usage\":{\"input_tokens\":40,\"output_tokens\":1}", ",\"usage\":{\"output_tokens\":0}", 40, 0, "estimated")]
    // Zeros at the start, counts at the end, as relays send them.
    [InlineData("\"usage\":{\"input_tokens\":0,\"output_tokens\":0}", ",\"usage\":{\"input_tokens\":40,\"output_tokens\":17}", 40, 17, "measured")]
    [InlineData("\"usage\":{\"input_tokens\":40,\"output_tokens\":1}", ",\"usage\":{\"output_tokens\":17}", 40, 17, "measured")]
    [InlineData("\"usage\":{\"prompt_tokens\":40}", ",\"usage\":{\"prompt_tokens\":40,\"completion_tokens\":17,\"total_tokens\":57}", 40, 17, "measured")]
    [InlineData("\"usage\":null", ",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":30,\"output_tokens\":17}", 40, 17, "measured")]
    public async Task MessagesUpstream_UsageAcrossEvents_IsMerged(string start, string end, int input, int output, string basis)
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml().Replace("kind: openai, baseUrl: " + _upstream.Url + "/v1", "kind: anthropic, baseUrl: " + _upstream.Url, StringComparison.Ordinal));
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            foreach (var (name, data) in new[]
            {
                ("message_start", $$$"""{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[],"stop_reason":null,{{{start}}}}}"""),
                ("content_block_start", """{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"""),
                ("content_block_delta", $$$"""{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"{{{Text}}}"}}"""),
                ("content_block_stop", """{"type":"content_block_stop","index":0}"""),
                ("message_delta", $$$"""{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null}{{{end}}}}"""),
                ("message_stop", """{"type":"message_stop"}"""),
            }) await context.Response.WriteAsync($"event: {name}\ndata: {data}\n\n", context.RequestAborted);
        };
        foreach (var path in new[] { "/v1/messages", "/v1/chat/completions" })
        {
            var (_, record) = await CallAsync(path, stream: true);
            var used = record.GetProperty("usage");
            Assert.Equal((input, basis), (used.GetProperty("input_tokens").GetInt32(), used.GetProperty("basis").GetString()));
            if (output > 0) Assert.Equal(output, used.GetProperty("output_tokens").GetInt32());
            else Assert.InRange(used.GetProperty("output_tokens").GetInt32(), 12, 30);
        }
    }

    [Theory]
    [InlineData("""{"prompt_tokens":0,"total_tokens":0}""", "estimated")]
    [InlineData("{}", "estimated")]
    [InlineData("""{"prompt_tokens":1000000000000000000}""", "estimated")]
    [InlineData("""{"total_tokens":9}""", "measured")]
    [InlineData("""{"prompt_tokens":"9"}""", "measured")]
    public async Task Embeddings_ProviderUsage_IsMeasuredElseEstimated(string usage, string basis)
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml("    e: { kind: embedding, contextWindow: 8000, tokenizer: o200k, prices: { input: 1, output: 0 }, deployments: [{ provider: up, model: e }] }"));
        _upstream.Answer = context => Json(context, $$"""{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,0.5]}],"model":"e","usage":{{usage}}}""");
        using var response = await _gateway!.Client.PostJsonAsync("/v1/embeddings", $$"""{"model":"e","input":"{{Text}}"}""");
        var body = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, body);
        var used = (await LastRecordAsync()).GetProperty("usage");
        Assert.Equal(basis, used.GetProperty("basis").GetString());
        Assert.InRange(used.GetProperty("input_tokens").GetInt64(), 9, 25);
        Assert.DoesNotContain("1000000000000000000", body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ZeroOutputTokens_WithoutOutput_StaysMeasured()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.Answer = context => Json(context, Completion("", "content_filter").Replace(FakeUpstream.Usage, """{"prompt_tokens":40,"completion_tokens":0,"total_tokens":40}""", StringComparison.Ordinal));
        var (_, record) = await CallAsync("/v1/chat/completions", stream: false);
        Assert.Equal("""{"input_tokens":40,"cached_input_tokens":0,"cache_write_tokens":0,"output_tokens":0,"reasoning_tokens":0,"basis":"measured"}""", record.GetProperty("usage").ToString());
    }

    [Fact]
    public async Task Cost_LongCacheWriteAndAudioOutput_IsReservedAndCharged()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml().Replace("prices: { input: 1, cachedInput: 0.5, output: 10 }", "prices: { input: 1, cacheWrite: 1.25, output: 10, audioOutput: 64 }", StringComparison.Ordinal));
        var ledger = _gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        var held = 0m;
        _upstream.Answer = context =>
        {
            held = ledger.Totals().HeldUsd;
            return Json(context, Completion(Text).Replace(FakeUpstream.Usage, """{"prompt_tokens":1000,"completion_tokens":30,"total_tokens":1030,"cache_creation_input_tokens":900,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":800},"completion_tokens_details":{"audio_tokens":20}}""", StringComparison.Ordinal));
        };
        using var response = await _gateway!.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","max_tokens":1000,"modalities":["text"],"messages":[{"role":"user","content":"hi"}]}""");
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Cancel));
        var record = await LastRecordAsync();
        // 100 plain at 1, 100 for five minutes at 1.25, 800 for an hour at 2, 10 written at 10 and 20 spoken at 64.
        Assert.Equal((100 + 125 + 1600 + 100 + 1280) / 1_000_000m, record.GetProperty("cost_usd").GetDecimal());
        Assert.Equal("measured", record.GetProperty("usage").GetProperty("basis").GetString());
        Assert.True(held >= 0.01m, $"{held} was held");
    }

    [Fact]
    public async Task ToolArguments_Truncated_AreEstimatedAsCode()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        var arguments = "{\"rows\":[" + string.Join(",", Enumerable.Range(0, 80).Select(i => $"{{\"id\":{i * 37},\"x\":{i},\"ok\":true}}")) + "]}";
        var tokens = TokenCounting.Vocabulary.O200k.Count(arguments, out _);
        foreach (var path in new[] { "/v1/chat/completions", "/v1/messages" })
        {
            _upstream.Answer = async context =>
            {
                await BeginAsync(context);
                await SendAsync(context, Chunk("""{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"put","arguments":""}}]}"""));
                foreach (var piece in arguments.Chunk(9)) await SendAsync(context, Chunk($$$"""{"tool_calls":[{"index":0,"function":{"arguments":{{{JsonSerializer.Serialize(new string(piece))}}}}}]}"""));
                // The stream ends without a reason, as one does that a server gave up.
            };
            using var response = await _gateway!.Client.PostJsonAsync(path, Body(path, stream: true).Replace("\"stream\"", "\"tools\":[" + (path.EndsWith("messages", StringComparison.Ordinal) ? "{\"name\":\"put\",\"input_schema\":{\"type\":\"object\"}}" : "{\"type\":\"function\",\"function\":{\"name\":\"put\"}}") + "],\"stream\"", StringComparison.Ordinal));
            await SeenStream.ReadAsync(response, Cancel);
            var used = (await LastRecordAsync()).GetProperty("usage");
            Assert.Equal("estimated", used.GetProperty("basis").GetString());
            Assert.InRange(used.GetProperty("output_tokens").GetInt64(), tokens * 0.75, tokens * 1.25);
        }
    }

    private static string Body(string path, bool stream) => path switch
    {
        "/v2/generations" => """{"model":"m","input":"Say something of fourteen words."}""",
        "/v1/responses" => $$"""{"model":"m","input":"Say something of fourteen words.","stream":{{(stream ? "true" : "false")}}}""",
        "/v1/completions" => $$"""{"model":"m","prompt":"Say something of fourteen words.","max_tokens":500,"stream":{{(stream ? "true" : "false")}}}""",
        _ => $$"""{"model":"m","max_tokens":500,"messages":[{"role":"user","content":"Say something of fourteen words."}],"stream":{{(stream ? "true" : "false")}}}""",
    };

    // The same text and usage in the form that was asked for.
    private static async Task AnswerAsync(HttpContext context, string usage)
    {
        var request = (JsonElement)context.Items[RequestItem]!;
        var streams = request.TryGetProperty("stream", out var stream) && stream.ValueKind == JsonValueKind.True;
        var path = context.Request.Path.Value!;
        if (path.EndsWith("/responses", StringComparison.Ordinal))
        {
            var message = $$"""{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"{{Text}}","annotations":[]}]}""";
            var whole = $$"""{"id":"resp_1","object":"response","created_at":1700000000,"model":"upstream-m","status":"completed","output":[{{message}}],"usage":{{usage}}}""";
            if (!streams)
            {
                await Json(context, whole);
                return;
            }
            await BeginAsync(context);
            await SendAsync(context,
                """{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","output":[]}}""",
                """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","status":"in_progress","content":[]}}""",
                """{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}""",
                $$"""{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"{{Text}}"}""",
                $$"""{"type":"response.output_text.done","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"text":"{{Text}}"}""",
                $$"""{"type":"response.output_item.done","sequence_number":5,"output_index":0,"item":{{message}}}""",
                $$"""{"type":"response.completed","sequence_number":6,"response":{{whole}}}""");
            return;
        }
        if (path.EndsWith("/chat/completions", StringComparison.Ordinal))
        {
            if (!streams)
            {
                await Json(context, Completion(Text).Replace(FakeUpstream.Usage, usage, StringComparison.Ordinal));
                return;
            }
            await BeginAsync(context);
            await SendAsync(context, Chunk($$"""{"role":"assistant","content":"{{Text}}"}"""), Chunk("{}", "stop"), UsageChunk().Replace(FakeUpstream.Usage, usage, StringComparison.Ordinal), "[DONE]");
            return;
        }
        const string Head = "\"id\":\"cmpl-up\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"upstream-m\"";
        if (!streams)
        {
            await Json(context, $$"""{{{Head}},"choices":[{"index":0,"text":"{{Text}}","logprobs":null,"finish_reason":"stop"}],"usage":{{usage}}}""");
            return;
        }
        await BeginAsync(context);
        await SendAsync(context, $$"""{{{Head}},"choices":[{"index":0,"text":"{{Text}}","logprobs":null,"finish_reason":null}]}""",
            $$"""{{{Head}},"choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]}""", $$"""{{{Head}},"choices":[],"usage":{{usage}}}""", "[DONE]");
    }

    private async Task<(string Body, JsonElement Record)> CallAsync(string path, bool stream)
    {
        using var response = await _gateway!.Client.PostJsonAsync(path, Body(path, stream), stream ? [("Accept", "text/event-stream")] : []);
        var body = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, body);
        Assert.DoesNotContain("\"error\":{", body, StringComparison.Ordinal);
        return (body, await LastRecordAsync());
    }

    private async Task<JsonElement> LastRecordAsync()
    {
        using var response = await _gateway!.Admin.GetAsync(new Uri("/admin/v1/audit?limit=1", UriKind.Relative), Cancel);
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("data")[0];
    }
}
