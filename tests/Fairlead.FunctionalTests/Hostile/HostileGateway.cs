using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Fidelity;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>A gateway with a model of every kind of provider, all able to do everything, so that hostile requests get as deep as they can.</summary>
public class HostileGateway : IAsyncLifetime
{
    /// <summary>A secret that no response may contain.</summary>
    public const string UpstreamSecret = "sk-hostile-upstream-0001";

    public FakeUpstream Upstream { get; private set; } = null!;

    public TestGateway Gateway { get; private set; } = null!;

    public string OrganizationId { get; private set; } = "";

    /// <summary>Nesting that requests may have.</summary>
    protected virtual int MaxDepth => 64;

    /// <summary>A key that requests may try to rotate.</summary>
    public string SpareKeyId { get; private set; } = "";

    public async ValueTask InitializeAsync()
    {
        Upstream = await FakeUpstream.StartAsync();
        Upstream.Answer = AnswerAsync;
        const string All = "tokenizer: o200k, prices: { input: 1, output: 10 }, modalities: { input: [text, image, audio, pdf], output: [text] }, capabilities: { tools: true, jsonSchema: true, logprobs: true, prefill: true, reasoning: true }, contextWindow: 200000, maxOutputTokens: 20000";
        Gateway = await TestGateway.StartAsync(
            $$"""
            fairlead:
              authentication: { wrongKeysPerMinute: 0 }
              providers:
                up: { kind: openai, baseUrl: {{Upstream.Url}}/v1, apiKey: {{UpstreamSecret}} }
                cl: { kind: anthropic, baseUrl: {{Upstream.Url}}, apiKey: {{UpstreamSecret}} }
                gem: { kind: gemini, baseUrl: {{Upstream.Url}}, apiKey: {{UpstreamSecret}} }
              models:
                native: { {{All}}, deployments: [{ provider: up, model: up-1 }] }
                claude: { {{All}}, deployments: [{ provider: cl, model: cl-1 }] }
                gemini: { {{All}}, deployments: [{ provider: gem, model: gem-1 }] }
                simulated: { {{All}}, deployments: [{ provider: simulated, model: sim-fast }] }
                native-embed: { kind: embedding, contextWindow: 8000, tokenizer: o200k, prices: { input: 1, output: 0 }, deployments: [{ provider: up, model: up-e }] }
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              requests: { maxBodyBytes: 4MiB, maxMessages: 3000, maxDepth: {{MaxDepth}} }
            """,
            (builder, fairlead) =>
            {
                fairlead.AddChatModel("chatclient", _ => new ScriptedChatClient { Row = "finish-stop" }, options => options.Tools = true);
                builder.WebHost.ConfigureKestrel(options =>
                {
                    options.Limits.MaxRequestBodySize = null;
                    // As the program has it, but quick enough for a test: who sends slower is cut off.
                    options.Limits.MinRequestBodyDataRate = new MinDataRate(240, TimeSpan.FromSeconds(1.5));
                    options.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(2);
                });
            });
        OrganizationId = (await Gateway.Admin.PostForJsonAsync("/admin/v1/organizations", """{"name":"Hostile"}""")).GetProperty("id").GetString()!;
        (_, SpareKeyId) = await Gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (Gateway is not null) await Gateway.DisposeAsync();
        await Upstream.DisposeAsync();
    }

    /// <summary>Waits until no call is under way and nothing is held; fails when that does not come.</summary>
    public async Task HoldsNothingAsync(CancellationToken cancellationToken)
    {
        var drain = Gateway.Services.GetRequiredService<DrainState>();
        var ledger = Gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        while (drain.Active > 0 || ledger.Totals() is not { HeldTokens: 0, HeldUsd: 0, Open: 0 })
        {
            Assert.False(limit.IsCancellationRequested, $"{drain.Active} calls are under way, and held is {ledger.Totals()}.");
            // A call's books close a moment after its last byte; one more round trip is that moment.
            using var alive = await Gateway.Client.GetAsync(new Uri("/livez", UriKind.Relative), limit.Token);
        }
    }

    private static async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        var streams = request.TryGetProperty("stream", out var stream) && stream.ValueKind == JsonValueKind.True;
        if (path.EndsWith("/embeddings", StringComparison.Ordinal))
        {
            var count = request.GetProperty("input") is { ValueKind: JsonValueKind.Array } list && list[0].ValueKind != JsonValueKind.Number ? list.GetArrayLength() : 1;
            var vectors = new JsonArray([.. Enumerable.Range(0, count).Select(i => new JsonObject { ["object"] = "embedding", ["index"] = i, ["embedding"] = new JsonArray(0.6, 0.8) })]);
            await FakeUpstream.Json(context, $$$"""{"object":"list","model":"up-e","data":{{{vectors.ToJsonString()}}},"usage":{"prompt_tokens":3,"total_tokens":3}}""");
        }
        else if (path.EndsWith("/count_tokens", StringComparison.Ordinal))
        {
            await FakeUpstream.Json(context, """{"input_tokens":5}""");
        }
        else if (path.EndsWith("/messages", StringComparison.Ordinal))
        {
            if (!streams)
            {
                await FakeUpstream.Json(context, """{"id":"msg_1","type":"message","role":"assistant","model":"cl-1","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}""");
                return;
            }
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, """{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"cl-1","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}""",
                """{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}""", """{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}""", """{"type":"content_block_stop","index":0}""",
                """{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null},"usage":{"output_tokens":1}}""", """{"type":"message_stop"}""");
        }
        else if (path.Contains("enerateContent", StringComparison.Ordinal))
        {
            const string Answer = """{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"hello"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4},"modelVersion":"gem-1"}""";
            if (!path.Contains(":stream", StringComparison.Ordinal))
            {
                await FakeUpstream.Json(context, Answer);
                return;
            }
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, Answer);
        }
        else if (!streams)
        {
            await FakeUpstream.Json(context, path.Contains("/chat/", StringComparison.Ordinal) ? FakeUpstream.Completion("hello").Replace(",\"vendor_note\":{\"kept\":true}", "", StringComparison.Ordinal)
                : """{"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"up-1","choices":[{"index":0,"text":"hello","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}""");
        }
        else
        {
            await FakeUpstream.BeginAsync(context);
            if (path.Contains("/chat/", StringComparison.Ordinal)) await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant","content":"hello"}"""), FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
            else await FakeUpstream.SendAsync(context, """{"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"up-1","choices":[{"index":0,"text":"hello","logprobs":null,"finish_reason":"stop"}],"usage":null}""", "[DONE]");
        }
    }
}
