using System.Globalization;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Pipeline;

/// <summary>The service tier that a provider reports multiplies the cost: in every dialect, forwarded and translated, whole and streamed.</summary>
public sealed class ServiceTierTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway? _gateway;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, bool> Ways
    {
        get
        {
            var rows = new TheoryData<string, string, bool>();
            foreach (var path in new[] { "/v1/chat/completions", "/v1/messages", "/v1/responses", "/v2/generations" })
            {
                foreach (var kind in new[] { "openai", "anthropic" })
                {
                    rows.Add(path, kind, false);
                    rows.Add(path, kind, true);
                }
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
    [MemberData(nameof(Ways))]
    public async Task ReportedTier_AnyWay_MultipliesCost(string path, string kind, bool stream)
    {
        _gateway = await StartAsync(kind);
        // 7 plain at 1, 4 cached at 0.5 and 3 out at 10 dollars a million.
        foreach (var (tier, usd) in new[]
        {
            ("\"flex\"", 0.0000195m), ("\"priority\"", 0.000078m), ("\"batch\"", 0.00000975m), ("\"default\"", 0.000039m), ("\"standard\"", 0.000039m), ("\"of-next-year\"", 0.000039m),
            ("null", 0.000039m), ("5", 0.000039m),
        })
        {
            _upstream.Answer = context => AnswerAsync(context, tier);
            var record = await CallAsync(path, stream, "");
            Assert.True(usd == record.GetProperty("cost_usd").GetDecimal(), $"{tier}: {record}");
            Assert.Equal("measured", record.GetProperty("usage").GetProperty("basis").GetString());
            var attempt = record.GetProperty("attempts")[0];
            var named = attempt.TryGetProperty("service_tier", out var shown) ? shown.GetString() : null;
            Assert.Equal(tier is "\"flex\"" or "\"priority\"" or "\"batch\"" or "\"of-next-year\"" ? tier.Trim('"') : null, named);
        }
    }

    [Theory]
    [InlineData("/v1/chat/completions", "openai", "priority", "0.000078")]
    [InlineData("/v1/chat/completions", "openai", "flex", "0.000039")]
    [InlineData("/v1/responses", "openai", "priority", "0.000078")]
    // The field is not sent to a provider of another vendor.
    [InlineData("/v1/chat/completions", "anthropic", "priority", "0.000039")]
    public async Task UnreportedTier_Requested_CountsOnlyIfDearer(string path, string kind, string requested, string usd)
    {
        _gateway = await StartAsync(kind);
        _upstream.Answer = context => AnswerAsync(context, "null");
        foreach (var stream in new[] { false, true })
        {
            var record = await CallAsync(path, stream, $"\"service_tier\":\"{requested}\",");
            Assert.Equal(decimal.Parse(usd, CultureInfo.InvariantCulture), record.GetProperty("cost_usd").GetDecimal());
        }
    }

    /// <summary>The tier comes with the first event, so it also applies to a stream that breaks.</summary>
    [Theory]
    [InlineData("openai")]
    [InlineData("anthropic")]
    public async Task ReportedTier_CutStream_MultipliesEstimate(string kind)
    {
        _gateway = await StartAsync(kind);
        decimal[] costs = [.. await CostsAsync("\"flex\""), .. await CostsAsync("\"default\"")];
        Assert.Equal(costs[1], costs[0] * 2);

        async Task<decimal[]> CostsAsync(string tier)
        {
            _upstream.Answer = context => AnswerAsync(context, tier, cut: true);
            using var response = await _gateway!.Client.PostJsonAsync("/v1/chat/completions", Body("/v1/chat/completions", stream: true, ""));
            await SeenStream.ReadAsync(response, Cancel);
            return [(await LastRecordAsync()).GetProperty("cost_usd").GetDecimal()];
        }
    }

    [Fact]
    public async Task DatedPrices_EntryInForce_IsChargedAndShown()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml().Replace("prices: { input: 1, cachedInput: 0.5, output: 10 }",
            "prices: [{ input: 100, output: 100 }, { from: 2020-01-01, input: 1, cachedInput: 0.5, output: 10 }, { from: 2999-01-01, input: 200, output: 200 }]", StringComparison.Ordinal));
        var record = await CallAsync("/v1/chat/completions", stream: false, "");
        Assert.Equal(0.000039m, record.GetProperty("cost_usd").GetDecimal());
        var model = JsonDocument.Parse(await _gateway.Client.GetStringAsync(new Uri("/v2/models/m", UriKind.Relative), Cancel)).RootElement;
        Assert.Equal(10m, model.GetProperty("prices").GetProperty("output").GetDecimal());
    }

    private Task<TestGateway> StartAsync(string kind)
    {
        var yaml = _upstream.Yaml().Replace("output: 10 }", "output: 10, serviceTiers: { flex: 0.5, priority: 2 }, batchFactor: 0.25 }", StringComparison.Ordinal);
        if (kind == "anthropic") yaml = yaml.Replace("kind: openai, baseUrl: " + _upstream.Url + "/v1", "kind: anthropic, baseUrl: " + _upstream.Url, StringComparison.Ordinal);
        return TestGateway.StartAsync(yaml);
    }

    private static string Body(string path, bool stream, string more) => path switch
    {
        "/v2/generations" => $$$"""{"model":"m","input":"Say hello.","delivery":{"mode":"{{{(stream ? "stream" : "sync")}}}"}}""",
        "/v1/responses" => $$"""{"model":"m",{{more}}"input":"Say hello.","stream":{{(stream ? "true" : "false")}}}""",
        _ => $$"""{"model":"m",{{more}}"max_tokens":500,"messages":[{"role":"user","content":"Say hello."}],"stream":{{(stream ? "true" : "false")}}}""",
    };

    private static async Task AnswerAsync(HttpContext context, string tier, bool cut = false)
    {
        var request = (JsonElement)context.Items[RequestItem]!;
        var streams = request.TryGetProperty("stream", out var stream) && stream.ValueKind == JsonValueKind.True;
        var path = context.Request.Path.Value!;
        if (path.EndsWith("/messages", StringComparison.Ordinal)) await AnswerMessageAsync(context, tier, streams, cut);
        else if (path.EndsWith("/responses", StringComparison.Ordinal)) await AnswerResponseAsync(context, tier, streams);
        else if (!streams) await Json(context, Completion("hello").Replace("\"system_fingerprint\"", $"\"service_tier\":{tier},\"system_fingerprint\"", StringComparison.Ordinal));
        else
        {
            var more = $",\"service_tier\":{tier}";
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"hello"}""", more: more));
            if (cut) return;
            await SendAsync(context, Chunk("{}", "stop", more), UsageChunk()[..^1] + more + "}", "[DONE]");
        }
    }

    private static async Task AnswerMessageAsync(HttpContext context, string tier, bool streams, bool cut)
    {
        if (!streams)
        {
            await Json(context, $$"""{"id":"msg_1","type":"message","role":"assistant","model":"upstream-m","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{UsageOf(3)}}}""");
            return;
        }
        await BeginAsync(context);
        foreach (var (name, data) in new[]
        {
            ("message_start", $$$"""{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"upstream-m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{{UsageOf(1)}}}}}"""),
            ("content_block_start", """{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"""),
            ("content_block_delta", """{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"""),
            ("content_block_stop", """{"type":"content_block_stop","index":0}"""),
            ("message_delta", """{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}"""),
            ("message_stop", """{"type":"message_stop"}"""),
        })
        {
            await context.Response.WriteAsync($"event: {name}\ndata: {data}\n\n", context.RequestAborted);
            if (cut && name == "content_block_delta") return;
        }

        string UsageOf(int output) => $$"""{"input_tokens":7,"cache_read_input_tokens":4,"cache_creation_input_tokens":0,"output_tokens":{{output}},"service_tier":{{tier}}}""";
    }

    private static async Task AnswerResponseAsync(HttpContext context, string tier, bool streams)
    {
        const string Message = """{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hello","annotations":[]}]}""";
        const string Counts = """{"input_tokens":11,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":14}""";
        var whole = $$"""{"id":"resp_1","object":"response","created_at":1700000000,"model":"upstream-m","status":"completed","service_tier":{{tier}},"output":[{{Message}}],"usage":{{Counts}}}""";
        if (!streams)
        {
            await Json(context, whole);
            return;
        }
        await BeginAsync(context);
        await SendAsync(context,
            """{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","service_tier":"auto","output":[]}}""",
            """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","status":"in_progress","content":[]}}""",
            """{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}""",
            """{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"hello"}""",
            """{"type":"response.output_text.done","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"text":"hello"}""",
            $$"""{"type":"response.output_item.done","sequence_number":5,"output_index":0,"item":{{Message}}}""",
            $$"""{"type":"response.completed","sequence_number":6,"response":{{whole}}}""");
    }

    private async Task<JsonElement> CallAsync(string path, bool stream, string more)
    {
        using var response = await _gateway!.Client.PostJsonAsync(path, Body(path, stream, more));
        var body = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, body);
        return await LastRecordAsync();
    }

    private async Task<JsonElement> LastRecordAsync()
    {
        using var response = await _gateway!.Admin.GetAsync(new Uri("/admin/v1/audit?limit=1", UriKind.Relative), Cancel);
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("data")[0];
    }
}
