using System.Net;
using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>Requests that a server is known to refuse or to misread, and what is sent instead: one test for each row of <c>RequestQuirks</c>.</summary>
public sealed class RequestQuirkTests(HistoryFixture fixture) : IClassFixture<HistoryFixture>
{
    private static readonly string LongName = "mcp__a_server_with_a_long_name__" + new string('x', 60);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("vllm", "\"service_tier\":\"on_demand\"", "service_tier")]
    [InlineData("vllm", "\"modalities\":[\"image\",\"text\"]", "modalities")]
    [InlineData("vllm", "\"reasoning_effort\":\"ultra\"", "reasoning_effort")]
    [InlineData("vllm", "\"verbosity\":\"extreme\"", "verbosity")]
    [InlineData("vllm", "\"response_format\":{\"type\":\"regex\",\"pattern\":\"a\"}", "response_format")]
    [InlineData("vllm", "\"tools\":[{\"type\":\"browser_search\"}]", "tools")]
    [InlineData("vllm", "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"any\"", "tool_choice")]
    [InlineData("vllm", "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop")]
    [InlineData("deepseek", "\"prompt_cache_retention\":\"7d\"", "prompt_cache_retention")]
    public async Task UnknownValue_ForOpenAiCompatibleServer_PassesThrough(string model, string field, string name)
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", $$"""{"model":"{{model}}","messages":[{"role":"user","content":"a"}],{{field}}}""");
        Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(Cancel));
        Assert.Equal(JsonDocument.Parse("{" + field + "}").RootElement.GetProperty(name).GetRawText(), fixture.Upstream.Received.Last().GetProperty(name).GetRawText());

        // OpenAI's own servers, and those that know no such field, are not asked.
        var before = fixture.Upstream.Received.Count;
        foreach (var strict in (string[])["azure", "sim-echo"])
        {
            using var refused = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", $$"""{"model":"{{strict}}","messages":[{"role":"user","content":"a"}],{{field}}}""");
            var text = await refused.Content.ReadAsStringAsync(Cancel);
            Assert.True(refused.StatusCode == HttpStatusCode.BadRequest && text.Contains(name, StringComparison.Ordinal), text);
        }
        Assert.Equal(before, fixture.Upstream.Received.Count);
    }

    [Fact]
    public async Task UnknownContentPart_ForOpenAiCompatibleServer_PassesThrough()
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"vllm","messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"https://a.example/v.mp4"}},{"type":"text","text":"a"}]}]}""");
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("video_url", fixture.Upstream.Received.Last().GetProperty("messages")[0].GetProperty("content")[0].GetProperty("type").GetString());
        using var refused = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"anthropic","messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"https://a.example/v.mp4"}}]}]}""");
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
    }

    [Theory]
    [InlineData("/v1/messages", "\"context_management\":{\"edits\":[{\"type\":\"clear_tool_uses_20250919\"}]},\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]")]
    [InlineData("/v1/responses", "\"context_management\":[{\"type\":\"compaction\",\"compact_threshold\":1000}],\"store\":false,\"input\":\"a\"")]
    public async Task ContextManagement_ModelOfOtherDialect_IsOmittedWithWarning(string path, string body)
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync(path, $$"""{"model":"vllm",{{body}}}""");
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, text);
        Assert.Contains("context_management", text, StringComparison.Ordinal);
        Assert.False(fixture.Upstream.Received.Last().TryGetProperty("context_management", out _));
    }

    [Fact]
    public async Task Thinking_AfterUnsignedToolCalls_IsDroppedWithWarning()
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/messages", """
            {"model":"anthropic","max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2000},"tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[
            {"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":""},{"type":"tool_use","id":"functions.f:0","name":"f","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"functions.f:0","content":"done"}]}]}
            """);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, text);
        Assert.Contains("reasoning_omitted", text, StringComparison.Ordinal);
        var asked = fixture.Upstream.Received.Last();
        Assert.Equal("disabled", asked.GetProperty("thinking").GetProperty("type").GetString());
        // The id becomes one that Anthropic takes, for the call and its result alike.
        var id = asked.GetProperty("messages")[1].GetProperty("content")[0].GetProperty("id").GetString();
        Assert.Matches("^[A-Za-z0-9_-]+$", id);
        Assert.Equal(id, asked.GetProperty("messages")[2].GetProperty("content")[0].GetProperty("tool_use_id").GetString());
    }

    [Fact]
    public async Task Thinking_AfterToolCallsFromOtherDialect_IsDroppedWithWarning()
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", """
            {"model":"claude-old","reasoning_effort":"high","max_tokens":4000,"tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"a"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"done"}]}
            """);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, text);
        Assert.Contains("reasoning_omitted", text, StringComparison.Ordinal);
        Assert.False(fixture.Upstream.Received.Last().TryGetProperty("thinking", out _));
    }

    [Fact]
    public async Task ToolResult_WithJsonRef_IsSentToGeminiAsText()
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", """
            {"model":"gemini","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"a"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"c1","content":"{\"schema\":{\"$ref\":\"#/a\"}}"}]}
            """);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var result = fixture.Upstream.Received.Last().GetProperty("contents")[2].GetProperty("parts")[0].GetProperty("functionResponse").GetProperty("response");
        Assert.Equal("""{"schema":{"$ref":"#/a"}}""", result.GetProperty("output").GetString());
    }

    [Theory]
    [InlineData("vllm", false)]
    [InlineData("vllm", true)]
    [InlineData("azure", false)]
    [InlineData("gemini", false)]
    [InlineData("gemini", true)]
    public async Task LongToolName_AnthropicClient_IsShortenedAndRestored(string model, bool stream)
    {
        var sent = "";
        var usual = fixture.Upstream.Answer;
        fixture.Upstream.Answer = async context =>
        {
            var asked = (JsonElement)context.Items[RequestItem]!;
            sent = model == "gemini"
                ? asked.GetProperty("tools")[0].GetProperty("functionDeclarations")[0].GetProperty("name").GetString()!
                : asked.GetProperty("tools")[0].GetProperty("function").GetProperty("name").GetString()!;
            await CallAsync(context, model, stream, sent, """{"a":1}""");
        };
        try
        {
            using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/messages", $$$"""{"model":"{{{model}}}","max_tokens":50,"stream":{{{(stream ? "true" : "false")}}},"tools":[{"name":"{{{LongName}}}","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"{{{LongName}}}"},"messages":[{"role":"user","content":"a"}]}""");
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.StatusCode == HttpStatusCode.OK, text);
            Assert.InRange(sent.Length, 10, 64);
            Assert.Contains($"\"name\":\"{LongName}\"", text, StringComparison.Ordinal);
            Assert.DoesNotContain(sent, text, StringComparison.Ordinal);
        }
        finally
        {
            fixture.Upstream.Answer = usual;
        }
    }

    [Theory]
    [InlineData("/v1/chat/completions", "gemini", true, """
        "tools":[{"type":"function","function":{"name":"@","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"@"}},"messages":[{"role":"user","content":"a"}]
        """)]
    [InlineData("/v1/responses", "gemini", true, """
        "store":false,"tools":[{"type":"function","name":"@","parameters":{"type":"object"}}],"input":"a"
        """)]
    [InlineData("/v1/chat/completions", "vllm", false, """
        "tools":[{"type":"function","function":{"name":"@","parameters":{"type":"object"}}}],"messages":[{"role":"user","content":"a"}]
        """)]
    public async Task LongToolName_OpenAiClient_IsAccepted(string path, string model, bool isShortened, string fields)
    {
        var sent = "";
        var usual = fixture.Upstream.Answer;
        fixture.Upstream.Answer = async context =>
        {
            var asked = (JsonElement)context.Items[RequestItem]!;
            sent = model == "gemini"
                ? asked.GetProperty("tools")[0].GetProperty("functionDeclarations")[0].GetProperty("name").GetString()!
                : asked.GetProperty("tools")[0].GetProperty("function").GetProperty("name").GetString()!;
            await CallAsync(context, model, stream: false, sent, """{"a":1}""");
        };
        try
        {
            using var response = await fixture.Gateway.Client.PostJsonAsync(path, $$"""{"model":"{{model}}",{{fields.Replace("@", LongName, StringComparison.Ordinal)}}}""");
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.StatusCode == HttpStatusCode.OK, text);
            Assert.Equal(isShortened, sent != LongName);
            Assert.Contains($"\"name\":\"{LongName}\"", text, StringComparison.Ordinal);
        }
        finally
        {
            fixture.Upstream.Answer = usual;
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task LongToolName_OpenAiPassThrough_IsShortenedInBody(bool stream)
    {
        JsonElement asked = default;
        var usual = fixture.Upstream.Answer;
        fixture.Upstream.Answer = async context =>
        {
            asked = (JsonElement)context.Items[RequestItem]!;
            await CallAsync(context, "azure", stream, asked.GetProperty("tools")[0].GetProperty("function").GetProperty("name").GetString()!, """{"a":1}""");
        };
        try
        {
            const string body = """
                {"model":"azure","stream":#,"tools":[{"type":"function","function":{"name":"@","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"@"}},
                "messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"@","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"\"@\""}]}
                """;
            using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", body.Replace("@", LongName, StringComparison.Ordinal).Replace("#", stream ? "true" : "false", StringComparison.Ordinal));
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.StatusCode == HttpStatusCode.OK, text);
            var sent = asked.GetProperty("tools")[0].GetProperty("function").GetProperty("name").GetString()!;
            Assert.InRange(sent.Length, 10, 64);
            Assert.Equal(sent, asked.GetProperty("tool_choice").GetProperty("function").GetProperty("name").GetString());
            Assert.Equal(sent, asked.GetProperty("messages")[1].GetProperty("tool_calls")[0].GetProperty("function").GetProperty("name").GetString());
            Assert.Contains(LongName, asked.GetProperty("messages")[2].GetProperty("content").GetString(), StringComparison.Ordinal);
            Assert.Contains($"\"name\":\"{LongName}\"", text, StringComparison.Ordinal);
            Assert.DoesNotContain(sent, text, StringComparison.Ordinal);
        }
        finally
        {
            fixture.Upstream.Answer = usual;
        }
    }

    [Theory]
    [InlineData("vllm", false)]
    [InlineData("vllm", true)]
    [InlineData("anthropic", false)]
    [InlineData("gemini", true)]
    public async Task CustomTool_ModelOfOtherDialect_BecomesFunctionWithOneTextField(string model, bool stream)
    {
        var usual = fixture.Upstream.Answer;
        fixture.Upstream.Answer = context => CallAsync(context, model, stream, "apply_patch", """{"input":"*** Begin\n\"x\""}""");
        try
        {
            using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/responses", $$$"""
                {"model":"{{{model}}}","store":false,"stream":{{{(stream ? "true" : "false")}}},"tools":[{"type":"custom","name":"apply_patch","description":"Edits","format":{"type":"grammar","syntax":"lark","definition":"start: X"}}],
                "input":[{"role":"user","content":"a"},{"type":"custom_tool_call","call_id":"c1","name":"apply_patch","input":"earlier"},{"type":"custom_tool_call_output","call_id":"c1","output":"done"},{"role":"user","content":"b"}]}
                """);
            var text = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.StatusCode == HttpStatusCode.OK, text);
            Assert.Contains("\"custom_tool_call\"", text, StringComparison.Ordinal);
            Assert.Contains("*** Begin\\n\\\"x\\\"", text, StringComparison.Ordinal);
            var asked = fixture.Upstream.Received.Last().GetRawText();
            Assert.Contains("start: X", asked, StringComparison.Ordinal);
            Assert.Contains("earlier", asked, StringComparison.Ordinal);
        }
        finally
        {
            fixture.Upstream.Answer = usual;
        }
    }

    [Fact]
    public async Task CacheHints_InChatParts_AreSentToClaude()
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", """
            {"model":"anthropic","tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}}],"messages":[
            {"role":"system","content":[{"type":"text","text":"long","cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"user","content":"a","cache_control":{"type":"ephemeral"}}]}
            """);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var asked = fixture.Upstream.Received.Last();
        Assert.Equal("1h", asked.GetProperty("system")[0].GetProperty("cache_control").GetProperty("ttl").GetString());
        Assert.Equal("ephemeral", asked.GetProperty("messages")[0].GetProperty("content")[0].GetProperty("cache_control").GetProperty("type").GetString());
        Assert.Equal("ephemeral", asked.GetProperty("tools")[0].GetProperty("cache_control").GetProperty("type").GetString());
    }

    [Theory]
    [InlineData("anthropic")]
    [InlineData("gemini")]
    [InlineData("deepseek")]
    public async Task ToolArguments_InvalidJsonInHistory_AreWrapped(string model)
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/responses", $$$"""{"model":"{{{model}}}","store":false,"input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":"},{"type":"function_call_output","call_id":"c1","output":"done"}]}""");
        Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(Cancel));
        Assert.Contains("invalid_arguments", fixture.Upstream.Received.Last().GetRawText(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/messages", "\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"\"},{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":\"d\"}]}]")]
    [InlineData("/v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"d\"}]")]
    public async Task DeepSeekReasoning_InHistory_IsSentBackAsReasoningContent(string path, string body)
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync(path, $$"""{"model":"deepseek",{{body}}}""");
        Assert.True(response.StatusCode == HttpStatusCode.OK, await response.Content.ReadAsStringAsync(Cancel));
        Assert.Equal("hm", fixture.Upstream.Received.Last().GetProperty("messages")[1].GetProperty("reasoning_content").GetString());
    }

    [Fact]
    public async Task Seed_ForClaude_IsDroppedWithWarning()
    {
        using var response = await fixture.Gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"anthropic","seed":7,"messages":[{"role":"user","content":"a"}]}""");
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, text);
        Assert.Contains("'seed' was left out", text, StringComparison.Ordinal);
    }

    // A response that calls one tool, as each kind of server writes it.
    private static async Task CallAsync(HttpContext context, string model, bool stream, string name, string arguments)
    {
        var quoted = JsonSerializer.Serialize(arguments);
        var gemini = $$$"""{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"{{{name}}}","args":{{{arguments}}}}}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":3,"totalTokenCount":14}}""";
        if (!stream)
        {
            await Json(context, model switch
            {
                "gemini" => gemini,
                "anthropic" => $$$"""{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"tool_use","id":"toolu_1","name":"{{{name}}}","input":{{{arguments}}}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":3}}""",
                _ => $$$"""{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c9","type":"function","function":{"name":"{{{name}}}","arguments":{{{quoted}}}}}]},"finish_reason":"tool_calls"}],"usage":{{{Usage}}}}""",
            });
            return;
        }
        await BeginAsync(context);
        if (model == "gemini")
        {
            await SendAsync(context, gemini);
            return;
        }
        var half = arguments.Length / 2;
        await SendAsync(
            context,
            Chunk($$$"""{"role":"assistant","tool_calls":[{"index":0,"id":"c9","type":"function","function":{"name":"{{{name}}}","arguments":{{{JsonSerializer.Serialize(arguments[..half])}}}}}]}"""),
            Chunk($$$"""{"tool_calls":[{"index":0,"function":{"arguments":{{{JsonSerializer.Serialize(arguments[half..])}}}}}]}"""),
            Chunk("{}", "tool_calls", $",\"usage\":{Usage}"),
            "[DONE]");
    }
}
