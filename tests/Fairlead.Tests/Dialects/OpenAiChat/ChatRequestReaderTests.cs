using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Dialects.OpenAiChat;

public sealed class ChatRequestReaderTests
{
    private static readonly Dialect Dialect = OpenAiChatDialect.Create();

    internal const string Rich = """
        {
          "model": "fast", "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
              {"type": "text", "text": "What is \"this\"? \ud83d\ude00"},
              {"type": "image_url", "image_url": {"url": "data:image\/png;base64,AAAA", "detail": "low"}},
              {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
              {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}}]},
            {"content": null, "role": "assistant", "tool_calls": [
              {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
              {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "ls"}}]},
            {"role": "tool", "tool_call_id": "c2", "content": "ok"},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "found"}]},
            {"role": "user", "content": "go on"}],
          "max_completion_tokens": 100, "temperature": 0.5, "top_p": 1, "n": 2, "stop": ["a", "b"], "seed": -7,
          "frequency_penalty": 0, "presence_penalty": null, "logprobs": true, "top_logprobs": 3, "logit_bias": {"50256": -100},
          "stream": true, "stream_options": {"include_usage": false, "x": 1},
          "tools": [
            {"type": "function", "function": {"name": "look", "description": "d", "strict": true,
              "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"], "additionalProperties": false}}},
            {"type": "custom", "custom": {"name": "run", "format": {"type": "grammar", "grammar": {"definition": "start: \"a\"", "syntax": "lark"}}}}],
          "tool_choice": {"type": "function", "function": {"name": "look"}}, "parallel_tool_calls": false,
          "response_format": {"type": "json_schema", "json_schema": {"name": "out", "schema": {"type": "object"}}},
          "reasoning_effort": "low", "verbosity": "high", "service_tier": "auto", "store": false, "metadata": {"a": "b"},
          "prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s", "user": "u",
          "fairlead": {"class": "bulk", "deadline_ms": 5000, "on_disconnect": "continue", "task": "code"},
          "something_new": [1, {"a": null}]
        }
        """;

    private static string With(string members) => $$"""{"model":"m","messages":[{"role":"user","content":"hi"}]{{(members.Length > 0 ? "," : "")}}{{members}}}""";

    private static string Messages(string messages) => $$"""{"model":"m","messages":{{messages}}}""";

    // The error, or the unknown value for which a strict server refuses the request.
    private static GatewayError? Read(string body, RequestBounds? bounds = null)
    {
        var call = DialectCalls.Of(Dialect, body);
        return Dialect.Requests.Read(call, bounds ?? new RequestBounds()) ?? call.Facts.UnknownValueError;
    }

    [Fact]
    public void Read_RichRequest_FillsFacts()
    {
        var call = DialectCalls.Of(Dialect, Rich);
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        var facts = call.Facts;
        Assert.Equal("fast", facts.Model);
        Assert.Equal("\"fast\"", Encoding.UTF8.GetString(call.Body.WrittenSpan.Slice(facts.ModelRange.Start, facts.ModelRange.Length)));
        Assert.True(facts.Stream);
        Assert.False(facts.IncludeUsage);
        Assert.Equal("""{"include_usage": false, "x": 1}""", Encoding.UTF8.GetString(call.Body.WrittenSpan.Slice(facts.StreamOptionsRange.Start, facts.StreamOptionsRange.Length)));
        Assert.Equal(100, facts.MaxOutputTokens);
        Assert.Equal("max_completion_tokens", facts.MaxOutputTokensField);
        Assert.Equal(2, facts.ChoiceCount);
        Assert.Equal(0.5, facts.Temperature);
        Assert.Equal(-7, facts.Seed);
        Assert.Equal("low", facts.ReasoningEffort);
        Assert.Equal(6, facts.MessageCount);
        Assert.Equal(1, facts.ImageCount);
        Assert.Equal(4 + "data:application/pdf;base64,JVBE".Length, facts.MediaBytes);
        Assert.Equal("messages[1].content[1]", facts.Paths[RequestFeatures.Images]);
        Assert.Equal("messages[1].content[3]", facts.Paths[RequestFeatures.PdfFiles]);
        Assert.Equal("tools[1]", facts.Paths[RequestFeatures.CustomTools]);
        const RequestFeatures Expected = RequestFeatures.Images | RequestFeatures.Audio | RequestFeatures.Files | RequestFeatures.Tools | RequestFeatures.JsonSchema
            | RequestFeatures.Logprobs | RequestFeatures.ReasoningEffort | RequestFeatures.Temperature | RequestFeatures.TopP | RequestFeatures.Penalties
            | RequestFeatures.Seed | RequestFeatures.CustomTools | RequestFeatures.PdfFiles | RequestFeatures.UserText;
        Assert.Equal(Expected, facts.Features);
        Assert.Equal(new CallExtension { Class = "bulk", Deadline = TimeSpan.FromSeconds(5), OnDisconnect = OnDisconnect.Continue, Task = "code" }, facts.Extension);
    }

    [Theory]
    [InlineData("temperature")]
    [InlineData("max_tokens")]
    [InlineData("n")]
    [InlineData("stop")]
    [InlineData("tools")]
    [InlineData("tool_choice")]
    [InlineData("response_format")]
    [InlineData("stream_options")]
    [InlineData("logit_bias")]
    [InlineData("metadata")]
    [InlineData("fairlead")]
    public void Read_OptionalFieldNull_IsTreatedAsAbsent(string field) => Assert.Null(Read(With($"\"{field}\":null")));

    [Theory]
    [InlineData("\"temperature\":\"hot\"", "temperature", "invalid_type")]
    [InlineData("\"temperature\":2.1", "temperature", "decimal_above_max_value")]
    [InlineData("\"top_p\":-0.1", "top_p", "decimal_below_min_value")]
    [InlineData("\"presence_penalty\":3", "presence_penalty", "decimal_above_max_value")]
    [InlineData("\"temperature\":1e999", "temperature", null)]
    [InlineData("\"n\":0", "n", "integer_below_min_value")]
    [InlineData("\"n\":129", "n", "integer_above_max_value")]
    [InlineData("\"n\":1.5", "n", "invalid_type")]
    [InlineData("\"max_tokens\":0", "max_tokens", "integer_below_min_value")]
    [InlineData("\"max_tokens\":99999999999999999999999", "max_tokens", "integer_above_max_value")]
    [InlineData("\"max_tokens\":1,\"max_completion_tokens\":2", "max_completion_tokens", "invalid_value")]
    [InlineData("\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop", "array_above_max_length")]
    [InlineData("\"stop\":[1]", "stop[0]", "invalid_type")]
    [InlineData("\"top_logprobs\":2", "top_logprobs", "invalid_value")]
    [InlineData("\"logprobs\":true,\"top_logprobs\":21", "top_logprobs", "integer_above_max_value")]
    [InlineData("\"logit_bias\":{\"a\":1}", "logit_bias", "invalid_value")]
    [InlineData("\"logit_bias\":{\"1\":101}", "logit_bias", "decimal_above_max_value")]
    [InlineData("\"stream\":\"yes\"", "stream", "invalid_type")]
    [InlineData("\"stream_options\":{}", "stream_options", "invalid_value")]
    [InlineData("\"stream\":true,\"stream_options\":{\"include_usage\":1}", "stream_options.include_usage", "invalid_type")]
    [InlineData("\"tools\":[]", "tools", "empty_array")]
    [InlineData("\"tools\":[{\"type\":\"function\"}]", "tools[0].function", "missing_required_parameter")]
    [InlineData("\"tools\":[{\"function\":{\"name\":\"a\"}}]", "tools[0].type", "missing_required_parameter")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]", "tools[0].function.name", "invalid_value")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{}}]", "tools[0].function.name", "missing_required_parameter")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":[]}}]", "tools[0].function.parameters", "invalid_type")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"strict\":true,\"parameters\":{\"type\":\"object\"}}}]", "tools[0].function.parameters", "invalid_function_parameters")]
    [InlineData("\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"a\",\"format\":{\"type\":\"grammar\"}}}]", "tools[0].custom.format.grammar", "missing_required_parameter")]
    [InlineData("\"tool_choice\":\"maybe\"", "tool_choice", "invalid_value")]
    [InlineData("\"tool_choice\":\"required\"", "tool_choice", "invalid_value")]
    [InlineData("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"b\"}},\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}]", "tool_choice", "invalid_value")]
    [InlineData("\"tool_choice\":{\"type\":\"function\"},\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}]", "tool_choice.function", "missing_required_parameter")]
    [InlineData("\"response_format\":{\"type\":\"xml\"}", "response_format.type", "invalid_value")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\"}", "response_format.json_schema", "missing_required_parameter")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"strict\":true,\"schema\":{\"type\":\"array\"}}}", "response_format", "invalid_json_schema")]
    [InlineData("\"reasoning_effort\":\"huge\"", "reasoning_effort", "invalid_value")]
    [InlineData("\"modalities\":[\"text\",\"audio\"]", "audio", "missing_required_parameter")]
    [InlineData("\"prediction\":{\"type\":\"content\"}", "prediction.content", "missing_required_parameter")]
    [InlineData("\"metadata\":{\"a\":1}", "metadata", "invalid_type")]
    [InlineData("\"model\":\"again\"", "model", "invalid_value")]
    [InlineData("\"functions\":[{\"name\":\"f\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}]", "functions", "invalid_value")]
    [InlineData("\"fairlead\":[]", "fairlead", "invalid_type")]
    [InlineData("\"fairlead\":{\"class\":\"vip\"}", "fairlead.class", "invalid_value")]
    [InlineData("\"fairlead\":{\"deadline_ms\":0}", "fairlead.deadline_ms", "integer_below_min_value")]
    [InlineData("\"fairlead\":{\"webhook\":7}", "fairlead.webhook", "invalid_type")]
    [InlineData("\"fairlead\":{\"webhook\":{}}", "fairlead.webhook.url", "missing_required_parameter")]
    [InlineData("\"fairlead\":{\"webhook\":{\"url\":\"\"}}", "fairlead.webhook.url", null)]
    [InlineData("\"fairlead\":{\"webhook\":{\"url\":7}}", "fairlead.webhook.url", "invalid_type")]
    [InlineData("\"fairlead\":{\"webhook\":{\"url\":\"https://a.example\",\"url\":\"https://b.example\"}}", "fairlead.webhook.url", null)]
    [InlineData("\"fairlead\":{\"webhook\":{\"secret\":\"x\"}}", "fairlead.webhook.secret", "unknown_parameter")]
    [InlineData("\"fairlead\":{\"speed\":1}", "fairlead.speed", "unknown_parameter")]
    public void Read_InvalidField_ReturnsFieldAndCode(string members, string parameter, string? code)
    {
        var error = Read(With(members));
        Assert.NotNull(error);
        Assert.Equal(parameter, error.Parameter);
        if (code is not null) Assert.Equal(code, error.OpenAiCode);
        Assert.Equal(400, error.Definition.Status);
    }

    [Fact]
    public void Read_ExtensionOfWrongType_IsRefused()
    {
        var error = Read(With("""
            "fairlead":{"cache":1}
            """));
        Assert.Equal(ErrorCode.InvalidParameter, error!.Code);
        Assert.Equal("fairlead.cache", error.Parameter);
    }

    [Theory]
    [InlineData("[]", "messages", "empty_array")]
    [InlineData("null", "messages", "invalid_type")]
    [InlineData("[1]", "messages[0]", "invalid_type")]
    [InlineData("[{\"content\":\"x\"}]", "messages[0].role", "missing_required_parameter")]
    [InlineData("[{\"role\":\"robot\",\"content\":\"x\"}]", "messages[0].role", "invalid_value")]
    [InlineData("[{\"role\":\"user\"}]", "messages[0].content", "missing_required_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":null}]", "messages[0].content", "invalid_type")]
    [InlineData("[{\"role\":\"user\",\"content\":5}]", "messages[0].content", "invalid_type")]
    [InlineData("[{\"role\":\"user\",\"content\":[]}]", "messages[0].content", "empty_array")]
    [InlineData("[{\"role\":\"user\",\"content\":\"a\",\"content\":\"b\"}]", "messages[0].content", "invalid_value")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"text\":\"a\"}]}]", "messages[0].content[0].type", "missing_required_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", "messages[0].content[0].text", "missing_required_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"video\"}]}]", "messages[0].content[0].type", "invalid_value")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]", "messages[0].content[0].image_url.url", "missing_required_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"file:///etc\"}}]}]", "messages[0].content[0].image_url.url", "invalid_value")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA\"}}]}]", "messages[0].content[0].input_audio.format", "missing_required_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{}}]}]", "messages[0].content[0].file", "missing_required_parameter")]
    [InlineData("[{\"role\":\"system\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a\"}}]}]", "messages[0].content", "invalid_value")]
    [InlineData("[{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":\"c\"}]", "messages[0].role", "invalid_value")]
    [InlineData("[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}]", "messages[0].tool_calls[0].function.arguments", "missing_required_parameter")]
    [InlineData("[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}]", "messages[0]", "invalid_value")]
    [InlineData("[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"user\",\"content\":\"x\"}]", "messages[1]", "invalid_value")]
    [InlineData("[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"d\",\"content\":\"x\"}]", "messages[1].tool_call_id", "invalid_value")]
    [InlineData("[{\"role\":\"user\",\"content\":\"a\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}]", "messages[0].tool_calls", "invalid_value")]
    [InlineData("[{\"role\":\"function\",\"content\":\"a\"}]", "messages[0].name", "missing_required_parameter")]
    public void Read_InvalidMessage_ReturnsFieldAndCode(string messages, string parameter, string code)
    {
        var error = Read(Messages(messages));
        Assert.NotNull(error);
        Assert.Equal(parameter, error.Parameter);
        Assert.Equal(code, error.OpenAiCode);
    }

    [Fact]
    public void Read_ToolCallIdEscapedDifferently_IsSameId() =>
        Assert.Null(Read(Messages("""[{"role":"assistant","tool_calls":[{"id":"c\u0061","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"ca","content":""}]""")));

    [Fact]
    public void Read_SecondToolRound_MatchesOnlyItsOwnCalls()
    {
        const string Call = """{"role":"assistant","tool_calls":[{"id":"ID","type":"function","function":{"name":"f","arguments":"{}"}}]}""";
        var first = Call.Replace("ID", "c1", StringComparison.Ordinal);
        var second = Call.Replace("ID", "c2", StringComparison.Ordinal);
        const string Result = """{"role":"tool","tool_call_id":"ID","content":"x"}""";
        var one = Result.Replace("ID", "c1", StringComparison.Ordinal);
        var two = Result.Replace("ID", "c2", StringComparison.Ordinal);
        Assert.Null(Read(Messages($"[{first},{one},{second},{two}]")));
        Assert.Equal("messages[3].tool_call_id", Read(Messages($"[{first},{one},{second},{one}]"))!.Parameter);
    }

    [Theory]
    [InlineData("""[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]""", true)]
    [InlineData("""[{"role":"assistant","content":"b"},{"role":"user","content":"a"}]""", false)]
    public void Read_ConversationEndsWithAssistant_IsPrefill(string messages, bool prefill)
    {
        var call = DialectCalls.Of(Dialect, Messages(messages));
        Assert.Null(Dialect.Requests.Read(call, new RequestBounds()));
        Assert.Equal(prefill, call.Facts.Has(RequestFeatures.Prefill));
    }

    [Theory]
    [InlineData("")]
    [InlineData("   ")]
    [InlineData("[]")]
    [InlineData("\"x\"")]
    [InlineData("{")]
    [InlineData("{\"model\":\"m\",}")]
    [InlineData("{\"model\":\"m\"} x")]
    [InlineData("\uFEFF{}")]
    [InlineData("{\"model\":\"\\ud800\"}")]
    [InlineData("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\udc00 half\"}]}")]
    [InlineData("{\"\\ud83d\":1}")]
    public void Read_InvalidJson_ReturnsMalformedJson(string body) => Assert.Equal(ErrorCode.MalformedJson, Read(body)!.Code);

    [Fact]
    public void Read_ManyToolResultsInAnyOrder_AreMatchedToTheirCalls()
    {
        // Ids stand twice, are escaped, and their results come last first: the dearest order for a search.
        static string Id(int number) => $"\\u0063{number / 2}";
        var calls = string.Join(',', Enumerable.Range(0, 500).Select(number => $$$"""{"id":"{{{Id(number)}}}","type":"function","function":{"name":"f","arguments":"{}"}}"""));
        var results = Enumerable.Range(0, 500).Reverse().Select(number => $$"""{"role":"tool","tool_call_id":"c{{number / 2}}","content":""}""").ToArray();
        string Body(IEnumerable<string> answers) => Messages($$"""[{"role":"assistant","tool_calls":[{{calls}}]},{{string.Join(',', answers)}}]""");
        Assert.Null(Read(Body(results)));
        Assert.Null(Read(Body(results.Concat(results[..9]))));
        Assert.Contains("'c0'", Read(Body(results[..^1]))!.Message, StringComparison.Ordinal);
        Assert.Equal("messages[1].tool_call_id", Read(Body(results.Prepend("""{"role":"tool","tool_call_id":"c250","content":""}""")))!.Parameter);
    }

    [Fact]
    public void Read_InvalidJson_ReportsLineAndPosition() => Assert.Contains("line 2, position 4", Read("{\n  \"a\" 1}".Replace("\"a\" 1", "?", StringComparison.Ordinal).Replace("  ?", "   ?", StringComparison.Ordinal))!.Message, StringComparison.Ordinal);

    [Fact]
    public void Read_InvalidUtf8_ReturnsMalformedJson()
    {
        var body = Encoding.Latin1.GetBytes(With("\"user\":\"\u00FF\""));
        var error = Dialect.Requests.Read(DialectCalls.Of(Dialect, body), new RequestBounds());
        Assert.Equal(ErrorCode.MalformedJson, error!.Code);
        Assert.Contains("UTF-8", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_TooDeep_IsRefused()
    {
        string Deep(int levels) => With($"\"x\":{new string('[', levels)}{new string(']', levels)}");
        Assert.Null(Read(Deep(63)));
        Assert.Contains("64 levels", Read(Deep(64))!.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.InvalidParameter, Read(Deep(100_000))!.Code);
    }

    [Fact]
    public void Read_TooManyMessages_IsRefused()
    {
        var error = Read(Messages("""[{"role":"user","content":"a"},{"role":"user","content":"b"}]"""), new RequestBounds { MaxMessages = 1 });
        Assert.Equal("array_above_max_length", error!.OpenAiCode);
    }

    [Fact]
    public void Read_TooMuchMedia_ReturnsPayloadTooLarge()
    {
        var error = Read(Rich, new RequestBounds { MaxMediaBytes = 40 });
        Assert.Equal(ErrorCode.PayloadTooLarge, error!.Code);
    }

    [Fact]
    public void Read_MutatedBodies_NeverThrowAndReturn4xx()
    {
        var valid = Encoding.UTF8.GetBytes(Rich);
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, valid.Length - 1], Gen.Byte, Gen.Int[1, 40]).Sample(
            (kind, at, value, count) =>
            {
                var body = kind switch
                {
                    0 => Replace(valid, at, value),
                    1 => valid[..at],
                    2 => [.. valid[..at], .. valid[Math.Min(valid.Length, at + count)..]],
                    _ => [.. valid[..at], .. valid[Math.Max(0, at - count)..]],
                };
                Check(body);
            },
            iter: 20_000);
    }

    [Fact]
    public void Read_SwappedTypes_NeverThrowAndReturn4xx()
    {
        string[] values = ["null", "true", "0", "-1", "1e400", "\"\"", "\"x\"", "[]", "{}", "[[1]]", "[{}]", "{\"type\":\"text\"}", "[null]", "{\"name\":1}"];
        var places = Places(JsonNode.Parse(Rich)!).ToList();
        Gen.Select(Gen.Int[0, places.Count - 1], Gen.Int[0, values.Length - 1]).Sample(
            (place, value) =>
            {
                var root = JsonNode.Parse(Rich)!;
                Places(root).ElementAt(place)(JsonNode.Parse(values[value]));
                Check(Encoding.UTF8.GetBytes(root.ToJsonString()));
            },
            iter: 5_000);
    }

    private static void Check(byte[] body)
    {
        var call = DialectCalls.Of(Dialect, body);
        var error = Dialect.Requests.Read(call, new RequestBounds());
        if (error is not null)
        {
            Assert.InRange(error.Definition.Status, 400, 499);
            return;
        }
        // A request that was read without an error can be forwarded and translated, or is refused with a reason.
        JsonNode.Parse(DialectCalls.Upstream(Dialect, call, "up"));
        try
        {
            Dialect.Conversations!.ToConversation(call);
        }
        catch (GatewayErrorException refused)
        {
            Assert.InRange(refused.Error.Definition.Status, 400, 499);
        }
    }

    private static byte[] Replace(byte[] body, int at, byte value)
    {
        byte[] copy = [.. body];
        copy[at] = value;
        return copy;
    }

    private static IEnumerable<Action<JsonNode?>> Places(JsonNode node)
    {
        switch (node)
        {
            case JsonObject members:
                foreach (var (name, value) in members.ToList())
                {
                    yield return with => members[name] = with;
                    if (value is not null)
                    {
                        foreach (var inner in Places(value)) yield return inner;
                    }
                }
                break;
            case JsonArray items:
                for (var i = 0; i < items.Count; i++)
                {
                    var index = i;
                    yield return with => items[index] = with;
                    if (items[i] is { } item)
                    {
                        foreach (var inner in Places(item)) yield return inner;
                    }
                }
                break;
        }
    }
}
