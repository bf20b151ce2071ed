using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Contracts;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Responses;

/// <summary>
/// Every kind of response in the Responses dialect, whole and streamed, translated and from a provider of the dialect. Each is checked
/// against the published descriptions of OpenAI and of Open Responses.
/// </summary>
public sealed class ResponsesSchemaTests : IAsyncLifetime
{
    private const string Item = """{"id":"msg_up","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[],"logprobs":[]}]}""";
    private const string Native = $$"""{"id":"resp_up","object":"response","created_at":1,"status":"completed","model":"x","output":[{"id":"rs_up","type":"reasoning","summary":[],"encrypted_content":"sealed"},{{Item}}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens_details":{"reasoning_tokens":0} } }""";

    // Where the two cannot both be had. Usage is null until the end (Open Responses demands the member, OpenAI's service sends it so); the format of a schema is repeated with the schema, which Open Responses
    // only knows as null, and with a description that may be null, which OpenAI's description does not know.
    private static readonly string[] Contradictions =
    [
        "OpenAI: $.usage is null, not object", "OpenAI: $.response.usage is null, not object", "OpenAI: $.text.format.description is null", "OpenAI: $.response.text.format.description is null",
        "Open Responses: $.text.format.type is \"json_schema\"", "Open Responses: $.response.text.format.type is \"json_schema\"",
    ];

    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, string> Cases => new()
    {
        { "text", """{"model":"sim-fast","input":"Hello","instructions":"Be brief","metadata":{"a":"b"},"temperature":0.5,"top_p":0.5,"max_output_tokens":500,"safety_identifier":"s","prompt_cache_key":"c","service_tier":"flex"}""" },
        { "logprobs", """{"model":"sim-fast","input":"Hello","top_logprobs":2,"include":["message.output_text.logprobs"]}""" },
        { "cut", """{"model":"sim-echo","input":"one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen","max_output_tokens":16}""" },
        { "reasoning", """{"model":"sim-reason","input":"Hello","reasoning":{"effort":"low","summary":"auto"},"include":["reasoning.encrypted_content"]}""" },
        { "tools", """{"model":"sim-tools","input":"Hello","parallel_tool_calls":true,"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}],"tool_choice":"required"}""" },
        { "schema", """{"model":"sim-json","input":"Hello","text":{"verbosity":"low","format":{"type":"json_schema","name":"a","strict":true,"schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}}""" },
        { "background", """{"model":"sim-fast","input":"Hello","background":true}""" },
        { "refusal", """{"model":"other","input":"Hello"}""" },
        { "annotations", """{"model":"other","input":"Hello"}""" },
        { "filtered", """{"model":"other","input":"Hello"}""" },
        { "native", """{"model":"m","input":"Hello"}""" },
    };

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync($$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                up: { kind: openai, baseUrl: {{_upstream.Url}}/v1, apiKey: k }
                chat: { kind: mistral, baseUrl: {{_upstream.Url}}/v1, apiKey: k }
              models:
                m: { contextWindow: 8000, maxOutputTokens: 2000, capabilities: { tools: true, reasoning: true }, prices: { input: 0, output: 0 }, deployments: [{ provider: up, model: a }] }
                other: { contextWindow: 8000, maxOutputTokens: 2000, capabilities: { tools: true }, prices: { input: 0, output: 0 }, deployments: [{ provider: chat, model: b }] }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Response_NonStreaming_MatchesBothSchemas(string kind, string body)
    {
        PublishedSchemas.SkipWhereAbsent();
        _upstream.Answer = context => AnswerAsync(context, kind);
        using var response = await _gateway.Client.PostJsonAsync("/v1/responses", body);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        var answer = JsonNode.Parse(text)!;
        Check("Response", "ResponseResource", answer);
        if (kind != "background") return;

        while (answer["status"]!.GetValue<string>() is "queued" or "in_progress")
        {
            await _gateway.Client.GetStringAsync(new Uri($"/v2/generations/gen_{answer["id"]!.GetValue<string>()[5..]}?wait=60", UriKind.Relative), Cancel);
            answer = JsonNode.Parse(await _gateway.Client.GetStringAsync(new Uri($"/v1/responses/{answer["id"]}", UriKind.Relative), Cancel))!;
            Check("Response", "ResponseResource", answer);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Events_Stream_MatchBothSchemas(string kind, string body)
    {
        PublishedSchemas.SkipWhereAbsent();
        _upstream.Answer = context => AnswerAsync(context, kind);
        await CheckStreamAsync(body, null);
    }

    [Fact]
    public async Task Events_BrokenStream_MatchBothSchemas()
    {
        PublishedSchemas.SkipWhereAbsent();
        var names = await CheckStreamAsync("""{"model":"sim-fast","input":"Hello"}""", "cut_after=2");
        Assert.Equal(["error", "response.failed"], names.TakeLast(2));
    }

    private async Task<List<string>> CheckStreamAsync(string body, string? simulate)
    {
        using var response = await _gateway.Client.PostJsonAsync("/v1/responses", body.Insert(1, "\"stream\":true,"), simulate is null ? [] : [("Fairlead-Simulate", simulate)]);
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.False(stream.Broken);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        var events = stream.Events.SkipLast(1).ToList();
        var open = OpenResponsesSchema.Load();
        foreach (var seen in events)
        {
            Assert.Equal(seen.Name, seen.Json.GetProperty("type").GetString());
            Check(PublishedSchemas.EventOf(seen.Name!) ?? throw new InvalidOperationException($"OpenAI has no event {seen.Name}."), open.SchemaOf(seen.Name!), JsonNode.Parse(seen.Data)!);
        }
        return [.. events.Select(seen => seen.Name!)];
    }

    private static void Check(string openAi, string? openResponses, JsonNode value)
    {
        Assert.True(openResponses is not null, $"{value["type"]} is not in the list of Open Responses.");
        var faults = PublishedSchemas.Faults(openAi, value).Select(fault => "OpenAI: " + fault).Concat(OpenResponsesSchema.Load().Faults(openResponses, value).Select(fault => "Open Responses: " + fault))
            .Where(fault => !Contradictions.Any(known => fault.Contains(known, StringComparison.Ordinal))).ToList();
        Assert.True(faults.Count == 0, string.Join('\n', faults) + "\n" + value.ToJsonString());
    }

    private static async Task AnswerAsync(HttpContext context, string kind)
    {
        var streams = ((JsonElement)context.Items[RequestItem]!).TryGetProperty("stream", out var stream) && stream.ValueKind == JsonValueKind.True;
        if (kind == "native")
        {
            if (!streams)
            {
                await Json(context, Native);
                return;
            }
            await BeginAsync(context);
            await SendAsync(
                context,
                """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"rs_up","type":"reasoning","summary":[]}}""",
                """{"type":"response.output_item.done","sequence_number":2,"output_index":0,"item":{"id":"rs_up","type":"reasoning","summary":[],"encrypted_content":"sealed"}}""",
                """{"type":"response.output_item.added","sequence_number":3,"output_index":1,"item":{"id":"msg_up","type":"message","status":"in_progress","role":"assistant","content":[]}}""",
                """{"type":"response.content_part.added","sequence_number":4,"item_id":"msg_up","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}""",
                """{"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_up","output_index":1,"content_index":0,"delta":"hello","logprobs":[]}""",
                """{"type":"response.output_text.done","sequence_number":6,"item_id":"msg_up","output_index":1,"content_index":0,"text":"hello","logprobs":[]}""",
                """{"type":"response.content_part.done","sequence_number":7,"item_id":"msg_up","output_index":1,"content_index":0,"part":{"type":"output_text","text":"hello","annotations":[],"logprobs":[]}}""",
                $$"""{"type":"response.output_item.done","sequence_number":8,"output_index":1,"item":{{Item}}}""",
                $$"""{"type":"response.completed","sequence_number":9,"response":{{Native}}}""");
            return;
        }
        var (message, finish) = kind switch
        {
            "refusal" => ("""{"role":"assistant","content":null,"refusal":"I will not."}""", "stop"),
            "annotations" => ("""{"role":"assistant","content":"see","annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A","start_index":0,"end_index":3}}]}""", "stop"),
            _ => ("""{"role":"assistant","content":"so"}""", "content_filter"),
        };
        if (!streams)
        {
            await Json(context, $$$"""{"id":"c","object":"chat.completion","created":1,"model":"x","choices":[{"index":0,"message":{{{message}}},"finish_reason":"{{{finish}}}"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}""");
            return;
        }
        await BeginAsync(context);
        await SendAsync(context, Chunk(message), Chunk("{}", finish), UsageChunk(), "[DONE]");
    }
}
