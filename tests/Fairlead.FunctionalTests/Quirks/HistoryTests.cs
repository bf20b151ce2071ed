using System.Net;
using System.Text;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>
/// The gateway accepts its own output as input. A turn from any server, sent as history in the same dialect to a provider of any kind,
/// never causes a request error.
/// </summary>
public sealed class HistoryTests(HistoryFixture fixture) : IClassFixture<HistoryFixture>
{
    private static readonly string[] Models = ["azure", "vllm", "deepseek", "anthropic", "gemini", "sim-echo"];

    // Assistant messages of /v1/chat/completions; those with calls are followed by results.
    private static readonly string[] Chat =
    [
        """{"role":"assistant","content":null}""",
        """{"role":"assistant"}""",
        """{"role":"assistant","content":""}""",
        """{"role":"assistant","content":[]}""",
        """{"role":"assistant","content":"hi","tool_calls":[]}""",
        """{"role":"assistant","content":null,"tool_calls":[]}""",
        """{"role":"assistant","content":"hi","tool_calls":null,"function_call":null,"refusal":null,"audio":null,"annotations":[]}""",
        """{"function_call":null,"tool_calls":[],"role":"assistant","content":null}""",
        """{"role":"assistant","content":null,"refusal":"no"}""",
        """{"role":"assistant","content":null,"reasoning_content":"thinking only"}""",
        """{"role":"assistant","content":"hi","reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","format":"x","index":0}]}""",
        """{"role":"assistant","content":"hi","reasoning":{"summary":"a"},"reasoning_content":null}""",
        """{"role":"assistant","content":null,"audio":{"id":"audio_1","data":"AAAA","expires_at":1,"transcript":"said"}}""",
        """{"role":"assistant","content":"hi","annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example","title":"a","start_index":0,"end_index":1}}]}""",
        """{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"hi"}]}""",
        """{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}""",
        """{"role":"assistant","content":[{"type":"text","text":""}]}""",
        """{"role":"assistant","content":[{"type":"output_text","text":"hi","annotations":[]}]}""",
        """{"role":"assistant","content":[{"type":"text","text":"hi"},{"type":"vendor_widget","widget":{"a":1}}]}""",
        """{"role":"assistant","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}""",
        """{"role":"assistant","content":[{"type":"reference","reference_ids":[1]}],"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}""",
        """{"role":"assistant","content":"hi","provider_specific_fields":{"a":null},"vendor_note":{"kept":true}}""",
        """{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","index":0,"function":{"name":"f","arguments":"{\"a\":1}"}}]}""",
        """{"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"a":1}},"extra_content":{"google":{"thought_signature":"x"}}}]}""",
        """{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":null}}]}""",
        """{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}""",
        """{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]}""",
        """{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"[1]"}}]}""",
        """{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"custom","custom":{"name":"f","input":"free text"}}]}""",
        """{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}""",
    ];

    // Content of assistant messages of /v1/messages.
    private static readonly string[] Messages =
    [
        "\"\"",
        "[]",
        "\"hi\"",
        """[{"type":"text","text":""}]""",
        """[{"type":"text","text":" "}]""",
        """[{"type":"text","text":"hi","citations":null}]""",
        """[{"type":"text","text":"hi","citations":[{"type":"char_location","cited_text":"a","document_index":0,"document_title":"t","start_char_index":0,"end_char_index":1}]}]""",
        """[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"hi"}]""",
        """[{"type":"thinking","thinking":"hm"}]""",
        """[{"type":"thinking","thinking":"hm","signature":null},{"type":"text","text":"hi"}]""",
        """[{"type":"thinking","thinking":"hm","signature":"c2lnbmVk"},{"type":"text","text":"hi"}]""",
        """[{"type":"thinking","thinking":"","signature":"c2lnbmVk"},{"type":"redacted_thinking","data":"c2VhbA"},{"type":"text","text":"hi"}]""",
        """[{"type":"redacted_thinking","data":""},{"type":"text","text":"hi"}]""",
        """[{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"a"}},{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]},{"type":"text","text":"hi"}]""",
        """[{"type":"vendor_block","data":1}]""",
        """[{"type":"text","text":"hi"},{"type":"tool_use","id":"toolu_1","name":"f","input":{},"caller":{"type":"direct"}}]""",
        """[{"type":"tool_use","id":"functions.f:0","name":"f","input":{"invalid_arguments":"{"}}]""",
    ];

    // Items of /v1/responses.
    private static readonly string[] Responses =
    [
        """[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hi","annotations":[],"logprobs":[]}]}]""",
        """[{"type":"message","id":"msg_1","status":"incomplete","role":"assistant","content":[]}]""",
        """[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"","annotations":[]}]}]""",
        """[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]""",
        """[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"vendor_part","x":1}]}]""",
        """[{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":null,"status":null},{"type":"message","role":"assistant","content":"hi"}]""",
        """[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAA","content":[{"type":"reasoning_text","text":"hm"}]}]""",
        """[{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":","status":"incomplete"}]""",
        """[{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"","status":"completed"},{"type":"function_call_output","call_id":"c1","output":"done"}]""",
        """[{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\"","status":"completed"},{"type":"function_call_output","call_id":"c1","output":"done"}]""",
        """[{"type":"custom_tool_call","id":"ctc_1","call_id":"c1","name":"f","input":"free","status":"completed"},{"type":"custom_tool_call_output","call_id":"c1","output":"done"}]""",
        """[{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"a"}},{"type":"message","role":"assistant","content":"hi"}]""",
        """[{"type":"local_shell_call","id":"ls_1","call_id":"c1","status":"completed","action":{"type":"exec","command":["ls"]}},{"type":"local_shell_call_output","id":"c1","output":"a"}]""",
    ];

    // Items of /v2/generations.
    private static readonly string[] V2 =
    [
        """[{"type":"message","role":"assistant","content":""}]""",
        """[{"type":"message","role":"assistant","content":[]}]""",
        """[{"type":"message","role":"assistant","content":[{"type":"text","text":""}]}]""",
        """[{"type":"message","role":"assistant","content":[{"type":"refusal","text":"no"}]}]""",
        """[{"type":"reasoning","text":"hm"}]""",
        """[{"type":"reasoning","text":""},{"type":"message","role":"assistant","content":"hi"}]""",
        """[{"type":"tool_call","id":"c1","name":"f","arguments":"{\"a\":"},{"type":"tool_result","tool_call_id":"c1","output":"done"}]""",
        """[{"type":"tool_call","id":"c1","name":"f","arguments":""},{"type":"tool_result","tool_call_id":"c1","output":""}]""",
    ];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, int> Cases
    {
        get
        {
            var cases = new TheoryData<string, string, int>();
            foreach (var model in Models)
            {
                for (var i = 0; i < Chat.Length; i++) cases.Add(model, "chat", i);
                for (var i = 0; i < Messages.Length; i++) cases.Add(model, "messages", i);
                for (var i = 0; i < Responses.Length; i++) cases.Add(model, "responses", i);
                for (var i = 0; i < V2.Length; i++) cases.Add(model, "v2", i);
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Turn_WrittenByServer_IsAcceptedAsHistory(string model, string client, int row)
    {
        var (path, body) = client switch
        {
            "chat" => ("/v1/chat/completions", $$"""{"model":"{{model}}","messages":[{"role":"user","content":"a"},{{Chat[row]}}{{ResultsOf(Chat[row])}},{"role":"user","content":"b"}]}"""),
            "messages" => ("/v1/messages", $$"""{"model":"{{model}}","max_tokens":50,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":{{Messages[row]}}},{"role":"user","content":[{{ResultsOfBlocks(Messages[row])}}{"type":"text","text":"b"}]}]}"""),
            "responses" => ("/v1/responses", $$"""{"model":"{{model}}","store":false,"input":[{"role":"user","content":"a"},{{Responses[row][1..^1]}},{"role":"user","content":"b"}]}"""),
            _ => ("/v2/generations", $$$"""{"model":"{{{model}}}","delivery":{"mode":"sync"},"input":[{"type":"message","role":"user","content":"a"},{{{V2[row][1..^1]}}},{"type":"message","role":"user","content":"b"}]}"""),
        };
        using var response = await fixture.Gateway.Client.PostAsync(new Uri(path, UriKind.Relative), new StringContent(body, Encoding.UTF8, "application/json"), Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, $"{(int)response.StatusCode} {await response.Content.ReadAsStringAsync(Cancel)}\n{body}");
        if (model == "azure" && client == "chat") AssertIsTakenByOpenAi(fixture.Upstream.Received.Last());
    }

    // The rules of OpenAI's own servers for an assistant message.
    private static void AssertIsTakenByOpenAi(JsonElement asked)
    {
        foreach (var message in asked.GetProperty("messages").EnumerateArray().Where(message => message.GetProperty("role").GetString() == "assistant"))
        {
            foreach (var member in message.EnumerateObject())
            {
                Assert.Contains(member.Name, (string[])["role", "content", "name", "refusal", "audio", "tool_calls", "function_call", "annotations"]);
                if (member.Name == "tool_calls") Assert.NotEqual(0, member.Value.GetArrayLength());
                if (member.Name == "function_call") Assert.Equal(JsonValueKind.Object, member.Value.ValueKind);
                if (member.Name == "audio" && member.Value.ValueKind == JsonValueKind.Object) Assert.Equal(["id"], member.Value.EnumerateObject().Select(one => one.Name));
            }
            var carries = message.TryGetProperty("tool_calls", out _) || message.TryGetProperty("function_call", out _)
                || (message.TryGetProperty("refusal", out var refusal) && refusal.ValueKind == JsonValueKind.String)
                || (message.TryGetProperty("audio", out var audio) && audio.ValueKind == JsonValueKind.Object);
            var content = message.TryGetProperty("content", out var given) ? given : default;
            if (!carries) Assert.True(content.ValueKind is JsonValueKind.String or JsonValueKind.Array, message.GetRawText());
            if (content.ValueKind == JsonValueKind.Array) Assert.All(content.EnumerateArray(), part => Assert.Contains(part.GetProperty("type").GetString(), (string[])["text", "refusal"]));
            if (!message.TryGetProperty("tool_calls", out var calls)) continue;
            foreach (var call in calls.EnumerateArray().Where(call => call.GetProperty("type").GetString() == "function")) Assert.Equal(JsonValueKind.String, call.GetProperty("function").GetProperty("arguments").ValueKind);
        }
    }

    private static string ResultsOf(string message) =>
        message.Contains("\"c1\"", StringComparison.Ordinal) ? ""","role":"tool","tool_call_id":"c1","content":"done"}""".Insert(1, "{")
        : message.Contains("\"function_call\":{", StringComparison.Ordinal) ? """,{"role":"function","name":"f","content":"done"}"""
        : "";

    private static string ResultsOfBlocks(string content) =>
        JsonDocument.Parse(content).RootElement is { ValueKind: JsonValueKind.Array } blocks
            ? string.Concat(blocks.EnumerateArray().Where(block => block.GetProperty("type").GetString() == "tool_use").Select(block => $$"""{"type":"tool_result","tool_use_id":"{{block.GetProperty("id").GetString()}}","content":"done"},"""))
            : "";
}

/// <summary>A gateway with a provider of each kind, which are all one server.</summary>
public sealed class HistoryFixture : IAsyncLifetime
{
    public FakeUpstream Upstream { get; private set; } = null!;

    public TestGateway Gateway { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Upstream = await FakeUpstream.StartAsync();
        Upstream.Answer = context =>
        {
            var path = context.Request.Path.Value!;
            return FakeUpstream.Json(context, path.EndsWith("/messages", StringComparison.Ordinal) ? """{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":3}}"""
                : path.Contains(":generateContent", StringComparison.Ordinal) ? """{"candidates":[{"content":{"role":"model","parts":[{"text":"hello"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":3,"totalTokenCount":14}}"""
                : path.EndsWith("/responses", StringComparison.Ordinal) ? """{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":11,"output_tokens":3,"total_tokens":14}}"""
                : FakeUpstream.Completion("hello"));
        };
        const string Model = "contextWindow: 8000, maxOutputTokens: 5000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: true, reasoning: true, jsonSchema: true }";
        Gateway = await TestGateway.StartAsync(
            $$"""
            fairlead:
              retry: { maxRetries: 0 }
              breaker: { enabled: false }
              providers:
                az: { kind: azure, baseUrl: {{Upstream.Url}}, apiKey: k }
                vl: { kind: vllm, baseUrl: {{Upstream.Url}}/v1 }
                ds: { kind: deepseek, baseUrl: {{Upstream.Url}}/v1, apiKey: k }
                an: { kind: anthropic, baseUrl: {{Upstream.Url}}, apiKey: k }
                ge: { kind: gemini, baseUrl: {{Upstream.Url}}, apiKey: k }
              models:
                azure: { {{Model}}, deployments: [{ provider: az, model: gpt-up }] }
                vllm: { {{Model}}, deployments: [{ provider: vl, model: local }] }
                deepseek: { {{Model}}, deployments: [{ provider: ds, model: deepseek-chat }] }
                anthropic: { {{Model}}, deployments: [{ provider: an, model: claude-sonnet-5 }] }
                claude-old: { contextWindow: 8000, maxOutputTokens: 5000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: true, reasoning: true }, deployments: [{ provider: an, model: claude-sonnet-4-5 }] }
                gemini: { {{Model}}, deployments: [{ provider: ge, model: gemini-2.5-flash }] }
            """);
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        await Upstream.DisposeAsync();
    }
}
