using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Dialects.AnthropicMessages;

public sealed class MessagesRequestReaderTests
{
    private static readonly Dialect Dialect = MessagesDialect.Create();

    internal const string Rich = """
        {
          "model": "claude-x", "max_tokens": 2048, "stream": true, "temperature": 1, "top_p": 0.9, "top_k": 5,
          "system": [{"type": "text", "text": "Be \u00e9xact \ud83d\ude00", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
          "metadata": {"user_id": "u-1", "later": [1]}, "service_tier": "auto", "speed": "standard", "unknown_field": {"a": [1, 2, {"b": null}]},
          "stop_sequences": ["END", "\n\nHuman:"],
          "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
          "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object", "properties": {"x": {"type": "number"}}}}},
          "tools": [
            {"name": "look_up", "description": "Finds", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}, "strict": true, "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
          ],
          "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
          "fairlead": {"class": "bulk", "deadline_ms": 5000},
          "messages": [
            {"role": "user", "content": [
              {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
              {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}},
              {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
              {"type": "document", "title": "Paper", "context": "old", "citations": {"enabled": true}, "source": {"type": "base64", "media_type": "application/pdf", "data": "aGVsbG8="}},
              {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain words"}},
              {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a chunk"}]}},
              {"type": "search_result", "source": "kb/1", "title": "Hit", "content": [{"type": "text", "text": "found"}]},
              {"type": "container_upload", "file_id": "file_1"}
            ]},
            {"role": "assistant", "content": [
              {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
              {"type": "redacted_thinking", "data": "eA=="},
              {"type": "text", "text": "Let me look."},
              {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"q": "a \"b\""}},
              {"type": "tool_use", "id": "toolu_2", "name": "look_up", "input": {}}
            ]},
            {"role": "user", "content": [
              {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "two"}, {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "aGVsbG8="}}]},
              {"type": "tool_result", "tool_use_id": "toolu_1", "content": "one", "is_error": true},
              {"type": "text", "text": "go on"}
            ]},
            {"role": "assistant", "content": "The answer is"}
          ]
        }
        """;

    [Fact]
    public void Read_RichMessagesRequest_FillsFacts()
    {
        var call = DialectCalls.Of(Dialect, Rich);
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        var facts = call.Facts;
        Assert.Equal(("claude-x", true, 2048, "max_tokens"), (facts.Model, facts.Stream, facts.MaxOutputTokens!.Value, facts.MaxOutputTokensField));
        Assert.Equal("\"claude-x\"", Encoding.UTF8.GetString(call.Body.WrittenSpan.Slice(facts.ModelRange.Start, facts.ModelRange.Length)));
        Assert.Equal((4, 3, 8), (facts.MessageCount, facts.ImageCount, facts.MediaBytes));
        Assert.Equal((1.0, 0.9, "high"), (facts.Temperature!.Value, facts.TopP!.Value, facts.ReasoningEffort));
        Assert.Equal(("bulk", TimeSpan.FromSeconds(5)), (facts.Extension.Class, facts.Extension.Deadline!.Value));
        var expected = RequestFeatures.Images | RequestFeatures.Files | RequestFeatures.PdfFiles | RequestFeatures.Tools | RequestFeatures.JsonSchema
            | RequestFeatures.ReasoningEffort | RequestFeatures.Temperature | RequestFeatures.TopP | RequestFeatures.Prefill | RequestFeatures.UserText;
        Assert.Equal(expected, facts.Features);
        Assert.Equal("messages[0].content[1]", facts.Paths[RequestFeatures.Images]);
        Assert.Equal("messages[3]", facts.Paths[RequestFeatures.Prefill]);
        Assert.InRange(facts.TextBytes, 300, Rich.Length);
    }

    [Fact]
    public void Read_PlainRequest_CountsOnlyItsText()
    {
        var call = DialectCalls.Of(Dialect, """{"model":"m","max_tokens":0,"system":"abc","messages":[{"content":"12345","role":"user"},{"role":"assistant","content":[{"text":"67","type":"text"}]},{"role":"user","content":"8"}]}""");
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        Assert.Equal((11, RequestFeatures.UserText, 0), (call.Facts.TextBytes, call.Facts.Features, call.Facts.MaxOutputTokens!.Value));
    }

    private static string With(string members) => $$"""{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"hi"}],{{members}}}""";

    private static string Messages(string messages) => $$"""{"model":"m","max_tokens":100,"messages":[{{messages}}]}""";

    private static string User(string blocks) => Messages($$"""{"role":"user","content":[{{blocks}}]}""");

    private const string Ask = """{"role":"user","content":"hi"},""";

    private const string Calls = Ask + """{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"f","input":{}}]}""";

    private static string Points(int count) => string.Join(',', Enumerable.Repeat("""{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}""", count));

    public static TheoryData<string, string, string?> Faults => new()
    {
        { "", "malformed_json", null },
        { "[]", "malformed_json", null },
        { "{\"model\":\"m\"", "malformed_json", null },
        { """{"model":"m"} x""", "malformed_json", null },
        { Messages("{\"role\":\"user\",\"content\":\"\\ud800\"}"), "malformed_json", null },
        { """{"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}""", "missing_parameter", "model" },
        { """{"model":null,"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}""", "missing_parameter", "model" },
        { """{"model":"","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}""", "invalid_parameter", "model" },
        { """{"model":7,"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}""", "invalid_parameter", "model" },
        { """{"model":"a","model":"b","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}""", "invalid_parameter", "model" },
        { """{"model":"a","m\u006fdel":"b","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}""", "invalid_parameter", "model" },
        { """{"model":"m","messages":[{"role":"user","content":"hi"}]}""", "missing_parameter", "max_tokens" },
        { """{"model":"m","max_tokens":-1,"messages":[{"role":"user","content":"hi"}]}""", "invalid_parameter", "max_tokens" },
        { """{"model":"m","max_tokens":1.5,"messages":[{"role":"user","content":"hi"}]}""", "invalid_parameter", "max_tokens" },
        { """{"model":"m","max_tokens":99999999999999999999,"messages":[{"role":"user","content":"hi"}]}""", "invalid_parameter", "max_tokens" },
        { """{"model":"m","max_tokens":1}""", "missing_parameter", "messages" },
        { """{"model":"m","max_tokens":1,"messages":[]}""", "invalid_parameter", "messages" },
        { """{"model":"m","max_tokens":1,"messages":{}}""", "invalid_parameter", "messages" },
        { Messages("7"), "invalid_parameter", "messages[0]" },
        { Messages("""{"content":"hi"}"""), "missing_parameter", "messages[0].role" },
        { Messages("""{"role":"tool","content":"hi"}"""), "invalid_parameter", "messages[0].role" },
        { Messages("""{"role":"assistant","content":"hi"}"""), "invalid_parameter", "messages[0].role" },
        { Messages("""{"role":"user"}"""), "missing_parameter", "messages[0].content" },
        { Messages("""{"role":"user","content":""}"""), "invalid_parameter", "messages[0].content" },
        { Messages("""{"role":"user","content":[]}"""), "invalid_parameter", "messages[0].content" },
        { Messages("""{"role":"user","content":{}}"""), "invalid_parameter", "messages[0].content" },
        { User("\"x\""), "invalid_parameter", "messages[0].content[0]" },
        { User("""{"text":"x"}"""), "missing_parameter", "messages[0].content[0].type" },
        { User("""{"type":"text"}"""), "missing_parameter", "messages[0].content[0].text" },
        { User("""{"type":"text","text":""}"""), "invalid_parameter", "messages[0].content[0].text" },
        { User("""{"type":"text","text":7}"""), "invalid_parameter", "messages[0].content[0].text" },
        { User("""{"type":"image"}"""), "missing_parameter", "messages[0].content[0].source" },
        { User("""{"type":"image","source":"x"}"""), "invalid_parameter", "messages[0].content[0].source" },
        { User("""{"type":"image","source":{"type":"base64","media_type":"image/bmp","data":"aGk="}}"""), "invalid_parameter", "messages[0].content[0].source.media_type" },
        { User("""{"type":"image","source":{"type":"base64","media_type":"image/png","data":"a*b"}}"""), "invalid_parameter", "messages[0].content[0].source.data" },
        { User("""{"type":"image","source":{"type":"url","url":"file:///etc/passwd"}}"""), "invalid_parameter", "messages[0].content[0].source.url" },
        { User("""{"type":"image","source":{"type":"text","data":"x"}}"""), "invalid_parameter", "messages[0].content[0].source.type" },
        { User("""{"type":"document","source":{"type":"base64","media_type":"text/html","data":"aGk="}}"""), "invalid_parameter", "messages[0].content[0].source.media_type" },
        { User("""{"type":"document","source":{"type":"content"}}"""), "missing_parameter", "messages[0].content[0].source.content" },
        { User("""{"type":"search_result","source":"s","title":"t"}"""), "missing_parameter", "messages[0].content[0].content" },
        { User("""{"type":"tool_use","id":"a","name":"f","input":{}}"""), "invalid_parameter", "messages[0].content[0].type" },
        { User("""{"type":"thinking","thinking":"x","signature":"y"}"""), "invalid_parameter", "messages[0].content[0].type" },
        { User("""{"type":"tool_result","tool_use_id":"a","content":"x"}"""), "invalid_parameter", "messages[0].content[0].tool_use_id" },
        { User(Points(5)), "invalid_parameter", "messages[0].content[4].cache_control" },
        { User("""{"type":"text","text":"x","cache_control":{"type":"forever"}}"""), "invalid_parameter", "messages[0].content[0].cache_control.type" },
        { User("""{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"2h"}}"""), "invalid_parameter", "messages[0].content[0].cache_control.ttl" },
        { Messages(Ask + """{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":"x"}]}"""), "invalid_parameter", "messages[1].content[0].input" },
        { Messages(Ask + """{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f"}]}"""), "missing_parameter", "messages[1].content[0].input" },
        { Messages(Ask + """{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"y","cache_control":{"type":"ephemeral"}}]}"""), "invalid_parameter", "messages[1].content[0].cache_control" },
        { Messages(Calls), "invalid_parameter", "messages[1]" },
        { Messages(Calls + """,{"role":"user","content":"no"}"""), "invalid_parameter", "messages[1]" },
        { Messages(Calls + """,{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}"""), "invalid_parameter", "messages[1]" },
        { Messages(Calls + """,{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]},{"role":"assistant","content":"x"}"""), "invalid_parameter", "messages[1]" },
        { Messages(Calls + """,{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","tool_use_id":"a"},{"type":"tool_result","tool_use_id":"b"}]}"""), "invalid_parameter", "messages[2].content[1].tool_use_id" },
        { Messages(Calls + """,{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"},{"type":"tool_result","tool_use_id":"a"}]}"""), "invalid_parameter", "messages[2].content[1].tool_use_id" },
        { Messages(Ask + """{"role":"assistant","content":[{"type":"tool_result","tool_use_id":"a"}]}"""), "invalid_parameter", "messages[1].content[0].type" },
        { User("""{"type":"tool_result","tool_use_id":"a","content":[{"type":"tool_use","id":"x","name":"f","input":{}}]}"""), "invalid_parameter", "messages[0].content[0].content[0].type" },
        { With("\"system\":7"), "invalid_parameter", "system" },
        { With("""  "system":[{"type":"image","source":{"type":"url","url":"https://x"}}]"""), "invalid_parameter", "system[0].type" },
        { With("\"stream\":\"yes\""), "invalid_parameter", "stream" },
        { With("\"temperature\":1.5"), "invalid_parameter", "temperature" },
        { With("\"top_p\":-0.1"), "invalid_parameter", "top_p" },
        { With("\"top_k\":\"x\""), "invalid_parameter", "top_k" },
        { With("\"stop_sequences\":\"x\""), "invalid_parameter", "stop_sequences" },
        { With("\"stop_sequences\":[\" \\n\"]"), "invalid_parameter", "stop_sequences[0]" },
        { With("\"stop_sequences\":[\"\"]"), "invalid_parameter", "stop_sequences[0]" },
        { With("\"tools\":{}"), "invalid_parameter", "tools" },
        { With("""  "tools":[{"input_schema":{"type":"object"}}]"""), "missing_parameter", "tools[0].name" },
        { With("""  "tools":[{"name":"a b","input_schema":{"type":"object"}}]"""), "invalid_parameter", "tools[0].name" },
        { With("""  "tools":[{"name":"a"}]"""), "missing_parameter", "tools[0].input_schema" },
        { With("""  "tools":[{"name":"a","input_schema":{}}]"""), "missing_parameter", "tools[0].input_schema.type" },
        { With("""  "tools":[{"name":"a","input_schema":{"type":"string"}}]"""), "invalid_parameter", "tools[0].input_schema.type" },
        { With("""  "tool_choice":{"type":"auto"}"""), "invalid_parameter", "tool_choice" },
        { With("""  "tool_choice":{"type":"tool"}"""), "missing_parameter", "tool_choice.name" },
        { With("""  "tool_choice":{"type":"tool","name":"b"},"tools":[{"name":"a","input_schema":{"type":"object"}}]"""), "invalid_parameter", "tool_choice.name" },
        { With("""  "tool_choice":{"type":"required"},"tools":[{"name":"a","input_schema":{"type":"object"}}]"""), "invalid_parameter", "tool_choice.type" },
        { With("""  "thinking":{"type":"enabled"}"""), "missing_parameter", "thinking.budget_tokens" },
        { With("""  "thinking":{"type":"enabled","budget_tokens":1023}"""), "invalid_parameter", "thinking.budget_tokens" },
        { With("""  "thinking":{"type":"enabled","budget_tokens":2000}"""), "invalid_parameter", "thinking.budget_tokens" },
        { With("""  "thinking":{"type":"on"}"""), "invalid_parameter", "thinking.type" },
        { With("""  "thinking":{}"""), "missing_parameter", "thinking.type" },
        { With("""  "output_config":{"effort":"huge"}"""), "invalid_parameter", "output_config.effort" },
        { With("""  "output_config":{"format":{"type":"json_schema"}}"""), "missing_parameter", "output_config.format.schema" },
        { With("""  "output_config":{"format":{"type":"xml","schema":{}}}"""), "invalid_parameter", "output_config.format.type" },
        { With("""  "metadata":{"user_id":7}"""), "invalid_parameter", "metadata.user_id" },
        { With("""  "service_tier":"gold" """), "invalid_parameter", "service_tier" },
        { With("""  "cache_control":{}"""), "missing_parameter", "cache_control.type" },
        { With("""  "fairlead":{"class":"x"}"""), "invalid_parameter", "fairlead.class" },
        { With("""  "fairlead":{"cache":1}"""), "invalid_parameter", "fairlead.cache" },
        { With("""  "fairlead":{"route":1}"""), "invalid_parameter", "fairlead.route" },
        { With("""  "fairlead":{"budget_usd":0}"""), "invalid_parameter", "fairlead.budget_usd" },
        { With("""  "fairlead":{"budget_usd":"1"}"""), "invalid_parameter", "fairlead.budget_usd" },
        { With("\"x\":" + new string('[', 70) + new string(']', 70)), "invalid_parameter", null },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void Read_InvalidRequest_ReturnsCodeAndParameter(string body, string code, string? parameter)
    {
        var call = DialectCalls.Of(Dialect, body);
        // The error, or the unknown value for which Anthropic's own servers refuse the request.
        var error = Dialect.Requests.Read(call, new RequestBounds()) ?? call.Facts.UnknownValueError;
        Assert.NotNull(error);
        Assert.Equal((code, parameter), (error.Definition.Name, error.Parameter));
    }

    public static TheoryData<string, string?> OctoberRules => new()
    {
        { With("\"temperature\":1"), "temperature" },
        { With("\"top_p\":1"), "top_p" },
        { With("\"top_k\":0"), "top_k" },
        { Messages(Ask + """{"role":"assistant","content":[{"type":"text","text":"x"},{"type":"document","source":{"type":"text","data":"x"}}]}"""), "messages[1].content[1].type" },
        { User("""{"type":"text","text":"x","citations":[{"type":"char_location"}]}"""), "messages[0].content[0].citations" },
        { With("\"temperature\":null"), null },
        { User("""{"type":"text","text":"x","citations":[]}"""), null },
    };

    [Theory]
    [MemberData(nameof(OctoberRules))]
    public void Read_AnthropicVersionOctober2026_HasItsOwnRules(string body, string? parameter)
    {
        GatewayError? Read(string? version)
        {
            var call = DialectCalls.Of(Dialect, body);
            call.AnthropicVersion = version;
            return Dialect.Requests.Read(call, new RequestBounds());
        }
        var error = Read("2026-10-21");
        Assert.Equal(parameter, error?.Parameter);
        Assert.Null(Read("2023-06-01"));
        Assert.Null(Read(null));
        Assert.Equal("anthropic-version", Read("2029-01-01")?.Parameter);
    }

    [Fact]
    public void Read_ThinkingBudgetAboveMaxTokens_IsAllowedWithInterleavedBeta()
    {
        var call = DialectCalls.Of(Dialect, With("""  "thinking":{"type":"enabled","budget_tokens":2000}"""));
        call.AnthropicBeta = "a,interleaved-thinking-2025-05-14";
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
    }

    [Fact]
    public void Read_ManyParallelToolCalls_MatchResultsInAnyOrder()
    {
        var uses = string.Join(',', Enumerable.Range(0, 500).Select(i => $$$"""{"type":"tool_use","id":"t{{{i}}}","name":"f","input":{}}"""));
        var results = string.Join(',', Enumerable.Range(0, 500).Reverse().Select(i => $$$"""{"type":"tool_result","tool_use_id":"t{{{i}}}"}"""));
        var body = Messages($$"""{{Ask}}{"role":"assistant","content":[{{uses}}]},{"role":"user","content":[{{results}}]}""");
        Assert.Null(Dialect.Requests.Read(DialectCalls.Of(Dialect, body), new RequestBounds()));
        var twice = body.Replace("\"t7\",\"name\"", "\"t8\",\"name\"", StringComparison.Ordinal);
        Assert.Equal("messages[1]", Dialect.Requests.Read(DialectCalls.Of(Dialect, twice), new RequestBounds())?.Parameter);
    }

    [Fact]
    public void Read_ToolResultsInTwoUserMessages_AreOneTurn()
    {
        var body = Messages(Calls + """,{"role":"user","content":[{"type":"tool_result","tool_use_id":"b"}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]},{"role":"user","content":"ok"}""");
        Assert.Null(Dialect.Requests.Read(DialectCalls.Of(Dialect, body), new RequestBounds()));
    }

    [Fact]
    public void Read_AboveLimits_IsRefused()
    {
        var call = DialectCalls.Of(Dialect, Rich);
        Assert.Equal(ErrorCode.PayloadTooLarge, Dialect.Requests.Read(call, new RequestBounds { MaxMediaBytes = 20 })?.Code);
        Assert.Equal("messages", Dialect.Requests.Read(DialectCalls.Of(Dialect, Rich), new RequestBounds { MaxMessages = 3 })?.Parameter);
    }

    [Fact]
    public void ReadCount_WithoutMaxTokens_IsAccepted()
    {
        var dialect = CountTokensDialect.Create();
        var call = DialectCalls.Of(dialect, """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Null(dialect.Requests.Read(call, new RequestBounds()));
        Assert.False(call.Facts.Stream);
        Assert.Equal(Operation.CountTokens, call.Operation);
    }

    [Fact]
    public void UpstreamBody_Messages_ChangesOnlyModelAndExtension()
    {
        var call = DialectCalls.Of(Dialect, Rich);
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        var expected = Rich.Replace("\"claude-x\"", "\"claude-\\\"up\"", StringComparison.Ordinal)
            .Replace(",\n  \"fairlead\": {\"class\": \"bulk\", \"deadline_ms\": 5000}", "", StringComparison.Ordinal);
        Assert.Equal(expected, DialectCalls.Upstream(Dialect, call, "claude-\"up"));
    }

    [Theory]
    [InlineData("F,T", "T")]
    [InlineData("T,F", "T")]
    [InlineData("F,F,T,F", "T")]
    [InlineData("S,F,T", "S,T")]
    [InlineData("F,F", "")]
    [InlineData("F", "")]
    public void Upstream_UnsignedThinking_IsRemovedWithTurnsThatOnlyHaveIt(string blocks, string left)
    {
        static string Build(string blocks)
        {
            var content = string.Join(" , ", blocks.Split(',').Select(b => b switch
            {
                "F" => """{"type":"thinking","thinking":"other","signature":""}""",
                "S" => """{"type":"thinking","thinking":"own","signature":"c2ln"}""",
                _ => """{"type":"text","text":"said"}""",
            }));
            var turn = blocks.Length == 0 ? "" : $$"""{"role":"assistant","content":[ {{content}} ]},""";
            return Messages($$"""{{Ask}}{{turn}}{"role":"user","content":"go"}""");
        }
        var call = DialectCalls.Of(Dialect, Build(blocks));
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        var upstream = DialectCalls.Upstream(Dialect, call, "m");
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(Build(left)), JsonNode.Parse(upstream)), upstream);
        Assert.Equal(blocks != left, call.Warnings.Any(w => w.Code == "reasoning_omitted"));
    }

    [Fact]
    public void Read_RandomCorruption_ReturnsErrorOrReadableRequest()
    {
        var valid = Encoding.UTF8.GetBytes(Rich);
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, valid.Length - 1], Gen.Byte, Gen.Int[1, 40]).Sample(
            (kind, at, value, count) => Check(kind switch
            {
                0 => [.. valid[..at], value, .. valid[(at + 1)..]],
                1 => valid[..at],
                2 => [.. valid[..at], .. valid[Math.Min(valid.Length, at + count)..]],
                _ => [.. valid[..at], .. valid[Math.Max(0, at - count)..]],
            }),
            iter: 10_000);
    }

    [Fact]
    public void Read_InvalidValueAnywhere_ReturnsErrorOrReadableRequest()
    {
        string[] values = ["null", "0", "-1", "1e400", "99999999999999999999", "\"\"", "\"x\"", "true", "[]", "[null]", "{}", "[[]]", """{"type":null}""", """[{"type":"text","text":"x"}]""", """{"type":"tool_use"}"""];
        var places = Places(JsonNode.Parse(Rich)!).Count();
        Gen.Select(Gen.Int[0, places - 1], Gen.Int[0, values.Length - 1]).Sample(
            (place, value) =>
            {
                var root = JsonNode.Parse(Rich)!;
                Places(root).ElementAt(place)(JsonNode.Parse(values[value]));
                Check(Encoding.UTF8.GetBytes(root.ToJsonString()));
            },
            iter: 3_000);
    }

    // A request that was read without an error can also be forwarded and translated, or the translation refuses it with an error.
    private static void Check(byte[] body)
    {
        var call = DialectCalls.Of(Dialect, body);
        if (Dialect.Requests.Read(call, new RequestBounds()) is { } error)
        {
            Assert.Equal(ErrorGroup.Request, error.Definition.Group);
            return;
        }
        Assert.NotNull(JsonNode.Parse(DialectCalls.Upstream(Dialect, call, "m")));
        try
        {
            Assert.NotEmpty(call.Conversation.Messages);
        }
        catch (GatewayErrorException refused)
        {
            Assert.Equal(ErrorGroup.Request, refused.Error.Definition.Group);
        }
    }

    private static IEnumerable<Action<JsonNode?>> Places(JsonNode node)
    {
        switch (node)
        {
            case JsonObject members:
                foreach (var name in members.Select(m => m.Key).ToList())
                {
                    yield return value => members[name] = value;
                    if (members[name] is { } child) foreach (var place in Places(child)) yield return place;
                }
                break;
            case JsonArray items:
                for (var i = 0; i < items.Count; i++)
                {
                    var index = i;
                    yield return value => items[index] = value;
                    if (items[i] is { } child) foreach (var place in Places(child)) yield return place;
                }
                break;
        }
    }
}
