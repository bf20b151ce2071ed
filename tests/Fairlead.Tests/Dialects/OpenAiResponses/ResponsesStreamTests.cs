using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Tests.Common;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Dialects.OpenAiResponses;

public sealed class ResponsesStreamTests
{
    private const string Plain = """{"model":"fast","input":"hi","stream":true}""";

    private static readonly Dialect Dialect = ResponsesDialect.Create();
    private static readonly string[] Fragments = ["{", "}", "\"a\":1", "\\"];
    private static readonly Outcome[] Endings = [Outcome.Complete, Outcome.Length, Outcome.ProviderLost];

    private static readonly GenerationEvent[] Thoughtful =
    [
        new ResponseStarted(),
        new ReasoningDelta("Let me "), new ReasoningDelta("think."), new ReasoningDelta("") { Signature = "sig" },
        new ReasoningDelta("") { Redacted = "secret" },
        new TextDelta("It "), new TextDelta("is \"so\"\n"),
        new AnnotationsAdded(new JsonArray(new JsonObject { ["type"] = "url_citation", ["url_citation"] = new JsonObject { ["url"] = "https://a.example", ["title"] = "A", ["start_index"] = 0, ["end_index"] = 2 } })),
        new ToolCallStarted(0, "call_1", "f"), new ToolCallDelta(0, "{\"a\":"), new ToolCallStarted(1, "call_2", "g") { Kind = ToolKind.Custom }, new ToolCallDelta(0, "1}"), new ToolCallDelta(1, "free"),
        new ChoiceFinished(FinishReason.ToolCalls),
    ];

    [Fact]
    public void Stream_Text_MatchesGoldenFile() =>
        GoldenFile.Matches("stream-text.txt", Write(Plain, [new TextDelta("Hel"), new TextDelta("lo") { Logprobs = [new TokenLogprob("lo", -0.5, [new TokenLogprob("lo", -0.5, [])])] }, new ChoiceFinished(FinishReason.Stop)]));

    [Fact]
    public void Stream_ReasoningAndTools_MatchesGoldenFile() =>
        GoldenFile.Matches("stream-tools.txt", Write("""{"model":"fast","input":"hi","stream":true,"include":["reasoning.encrypted_content"],"tools":[{"type":"function","name":"f","parameters":null},{"type":"custom","name":"g"}]}""", Thoughtful, Outcome.ToolCalls));

    [Fact]
    public void Stream_MaxTokensReached_MarksLastItemIncomplete() =>
        GoldenFile.Matches("stream-length.txt", Write(Plain, [new TextDelta("Hel"), new ChoiceFinished(FinishReason.Length)], Outcome.Length));

    [Fact]
    public void Stream_Refusal_HasOwnContentPart() =>
        GoldenFile.Matches("stream-refusal.txt", Write(Plain, [new TextDelta("Well, "), new RefusalDelta("no."), new ChoiceFinished(FinishReason.Stop)]));

    [Fact]
    public void Stream_Fails_EndsWithErrorAndResponseFailed() =>
        GoldenFile.Matches("stream-error.txt", Write(Plain, [new TextDelta("Hel")], Outcome.ProviderLost, new GatewayError(ErrorCode.ProviderError, "It broke.")));

    [Fact]
    public void Stream_WithExtensions_HasMetadataInFirstAndLastEvent()
    {
        var call = DialectCalls.Answered(Dialect, Plain);
        var events = DialectCalls.Events(DialectCalls.Stream(Dialect, call, [new TextDelta("x")], () => call.End()));
        Assert.Equal(DialectCalls.GenerationId, events[0]["response"]!["fairlead"]!["generation_id"]!.GetValue<string>());
        Assert.Null(events[1]["response"]!["fairlead"]);
        Assert.Equal("complete", events[^1]["response"]!["fairlead"]!["outcome"]!.GetValue<string>());
    }

    // What always holds: numbers from 0 without gaps, every item and part announced before its first delta and closed once, text the same to the letter,
    // and the same bytes however the events were cut into batches.
    [Fact]
    public void Stream_AnyEvents_IsWellFormedRegardlessOfBatching()
    {
        var call = Gen.Int[0, 3];
        var generated = Gen.OneOf<GenerationEvent>(
            Gen.String.Select(text => (GenerationEvent)new TextDelta(Clean(text))),
            Gen.String.Select(text => (GenerationEvent)new RefusalDelta(Clean(text))),
            Gen.String.Select(text => (GenerationEvent)new ReasoningDelta(Clean(text))),
            Gen.Const<GenerationEvent>(new ReasoningDelta("") { Signature = "s" }),
            Gen.Const<GenerationEvent>(new ReasoningDelta("") { Redacted = "r" }),
            call.Select(index => (GenerationEvent)new ToolCallStarted(index, $"call_{index}", "f") { Kind = index == 3 ? ToolKind.Custom : ToolKind.Function }),
            Gen.Select(call, Gen.Int[0, 3]).Select(pair => (GenerationEvent)new ToolCallDelta(pair.Item1, Fragments[pair.Item2])));
        Gen.Select(generated.Array[0, 30], Gen.Bool.Array[30], Gen.Int[0, 2].Select(i => Endings[i])).Sample((events, cuts, outcome) =>
        {
            events = [.. events.Where((e, i) => e is not ToolCallStarted s || !events.Take(i).Any(b => b is ToolCallStarted t && t.Index == s.Index))];
            var whole = Write(Plain, events, outcome);
            Assert.Equal(whole, Batched(events, cuts, outcome));
            WellFormed(whole, outcome, string.Concat(events.OfType<TextDelta>().Select(text => text.Text)));
        });
    }

    [Fact]
    public void NativeStream_FromProvider_HasGatewayIdsAndSequenceNumbers()
    {
        var call = DialectCalls.Answered(Dialect, """{"model":"fast","input":"hi","stream":true,"include":["reasoning.encrypted_content"]}""", extensions: false);
        var stream = DialectCalls.NativeStream(Dialect, call, Native.Select(line => new[] { line }), () => call.End());
        GoldenFile.Matches("native-stream.txt", stream);
        Assert.DoesNotContain("upstream", stream, StringComparison.Ordinal);
        Assert.Equal(9, call.Answering!.Meter.Reported!.Value.InputTokens);
        Assert.Equal(FinishReason.Stop, call.Answering.Meter.FinishReason);
        WellFormed(stream, Outcome.Complete, "Hello");
    }

    [Fact]
    public void NativeStream_Breaks_ClosesOpenItems()
    {
        var call = DialectCalls.Answered(Dialect, Plain, extensions: false);
        var stream = DialectCalls.NativeStream(Dialect, call, [Native[..6]], () => call.End(Outcome.ProviderLost, new GatewayError(ErrorCode.ProviderError, "It broke.")));
        var events = DialectCalls.Events(stream);
        Assert.Equal(["response.output_item.done", "error", "response.failed"], events.TakeLast(3).Select(Type));
        Assert.Equal("incomplete", events[^3]["item"]!["status"]!.GetValue<string>());
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(e => e["sequence_number"]!.GetValue<int>()));
    }

    [Theory]
    [InlineData("""{"type":"error","code":"rate_limit_exceeded","message":"slow","param":null}""", "rate_limit_exceeded", "slow")]
    [InlineData("""{"type":"error","error":{"type":"server_error","message":"broke"}}""", "server_error", "broke")]
    [InlineData("""{"type":"response.failed","response":{"error":{"code":"server_error","message":"broke"}}}""", "server_error", "broke")]
    public void Scanner_ErrorInAnyFormat_IsParsed(string data, string type, string message)
    {
        Assert.Null(new ResponsesStreamScanner(new OutputMeter()).Scan(default, Encoding.UTF8.GetBytes(data), out var error));
        Assert.Equal((type, message), (error!.Type, error.Message));
    }

    [Theory]
    [InlineData("garbage")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"type":"response.completed"}""")]
    public void Scanner_MalformedEvent_IsSkippedAndCounted(string data)
    {
        var meter = new OutputMeter();
        Assert.Null(new ResponsesStreamScanner(meter).Scan(default, Encoding.UTF8.GetBytes(data), out var error));
        Assert.Null(error);
        Assert.Equal(1, meter.SkippedEvents);
    }

    [Fact]
    public void NativeEvent_TypeWithNewline_IsSkipped()
    {
        var call = DialectCalls.Answered(Dialect, Plain, extensions: false);
        var stream = DialectCalls.NativeStream(Dialect, call, [["""{"type":"x\ndata: evil","delta":"y"}"""]], () => call.End());
        Assert.DoesNotContain("evil", stream, StringComparison.Ordinal);
        Assert.Equal(1, call.Answering!.Meter.SkippedEvents);
    }

    private static readonly string[] Native =
    [
        """{"type":"response.created","sequence_number":0,"response":{"id":"resp_upstream","object":"response","status":"in_progress","output":[]}}""",
        """{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"rs_upstream","type":"reasoning","summary":[]}}""",
        """{"type":"response.output_item.done","sequence_number":2,"output_index":0,"item":{"id":"rs_upstream","type":"reasoning","summary":[],"encrypted_content":"gAAA"}}""",
        """{"type":"response.output_item.added","sequence_number":3,"output_index":1,"item":{"id":"msg_upstream","type":"message","status":"in_progress","role":"assistant","content":[]}}""",
        """{"type":"response.content_part.added","sequence_number":4,"item_id":"msg_upstream","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}""",
        """{"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_upstream","output_index":1,"content_index":0,"delta":"Hello","logprobs":[],"obfuscation":"xYz"}""",
        """{"type":"response.output_text.done","sequence_number":6,"item_id":"msg_upstream","output_index":1,"content_index":0,"text":"Hello","logprobs":[]}""",
        """{"type":"response.content_part.done","sequence_number":7,"item_id":"msg_upstream","output_index":1,"content_index":0,"part":{"type":"output_text","text":"Hello","annotations":[]}}""",
        """{"type":"response.output_item.done","sequence_number":8,"output_index":1,"item":{"id":"msg_upstream","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]}}""",
        """{"type":"response.completed","sequence_number":9,"response":{"id":"resp_upstream","object":"response","created_at":1,"status":"completed","model":"gpt-x-2026","store":false,"new_member":{"a":1},"output":[{"id":"rs_upstream","type":"reasoning","summary":[],"encrypted_content":"gAAA"},{"id":"msg_upstream","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13,"output_tokens_details":{"reasoning_tokens":2}}}}""",
    ];

    // Both transports must show the same events, byte for byte.
    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void CreateMessageWriter_SameEvents_WritesTheDataOfEachAsOneLine(bool fails, bool isNative)
    {
        var events = Written(call => Dialect.Streams!.CreateWriter(call));
        var data = events.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).Select(line => line[6..]);
        Assert.Equal(data, Written(call => Dialect.Messages!.CreateMessageWriter(call)).TrimEnd('\n').Split('\n'));

        string Written(Func<GatewayCall, DialectStreamWriter> create)
        {
            var call = DialectCalls.Answered(Dialect, Plain, extensions: false);
            var outcome = fails ? Outcome.ProviderLost : Outcome.Complete;
            var error = fails ? new GatewayError(ErrorCode.ProviderError, "It broke.\nTwice.") : null;
            return isNative
                ? DialectCalls.NativeStream(Dialect, call, [fails ? Native[..6] : Native], () => call.End(outcome, error), create(call))
                : DialectCalls.Stream(Dialect, call, [new TextDelta("Hello\n"), new TextDelta("\r\u2028there")], () => call.End(outcome, error), create(call));
        }
    }

    private static string Type(JsonObject e) => e["type"]!.GetValue<string>();

    // Half surrogates never come out of a provider's reader.
    private static string Clean(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));

    private static string Write(string body, IEnumerable<GenerationEvent> events, Outcome outcome = Outcome.Complete, GatewayError? error = null)
    {
        var call = DialectCalls.Answered(Dialect, body, extensions: false);
        return DialectCalls.Stream(Dialect, call, events, () => call.End(outcome, error));
    }

    private static string Batched(GenerationEvent[] events, bool[] cuts, Outcome outcome)
    {
        var call = DialectCalls.Answered(Dialect, Plain, extensions: false);
        var output = new ArrayBufferWriter<byte>();
        var writer = Dialect.Streams!.CreateWriter(call);
        writer.WriteStart(output);
        using var batch = new EventBatch();
        for (var i = 0; i < events.Length; i++)
        {
            batch.Add(events[i]);
            if (!cuts[i]) continue;
            writer.Write(batch, output);
            batch.Clear();
        }
        writer.Write(batch, output);
        call.End(outcome);
        writer.WriteEnd(output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    private static void WellFormed(string stream, Outcome outcome, string text)
    {
        Assert.EndsWith("data: [DONE]\n\n", stream, StringComparison.Ordinal);
        var events = DialectCalls.Events(stream);
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(e => e["sequence_number"]!.GetValue<int>()));
        Assert.Equal(["response.created", "response.in_progress"], events.Take(2).Select(Type));
        var open = new Dictionary<int, string>();
        var parts = new HashSet<(int, int)>();
        var said = new StringBuilder();
        foreach (var e in events)
        {
            var index = e["output_index"]?.GetValue<int>() ?? -1;
            switch (Type(e))
            {
                case "response.output_item.added": Assert.True(open.TryAdd(index, e["item"]!["id"]!.GetValue<string>())); break;
                case "response.output_item.done":
                    Assert.True(open.Remove(index));
                    Assert.DoesNotContain(parts, part => part.Item1 == index);
                    break;
                case "response.content_part.added" or "response.reasoning_summary_part.added": Assert.True(parts.Add((index, Inner(e)))); break;
                case "response.content_part.done" or "response.reasoning_summary_part.done": Assert.True(parts.Remove((index, Inner(e)))); break;
                case var type when e["item_id"] is { } id:
                    Assert.Equal(open[index], id.GetValue<string>());
                    if (e.ContainsKey("content_index") || e.ContainsKey("summary_index")) Assert.Contains((index, Inner(e)), parts);
                    if (type == "response.output_text.delta") said.Append(e["delta"]!.GetValue<string>());
                    break;
            }
        }
        Assert.Empty(open);
        Assert.Empty(parts);
        Assert.Equal(text, said.ToString());
        Assert.Equal(outcome switch { Outcome.Complete => "response.completed", Outcome.Length => "response.incomplete", _ => "response.failed" }, Type(events[^1]));
        var done = events.Where(e => Type(e) == "response.output_item.done").OrderBy(e => e["output_index"]!.GetValue<int>()).Select(e => e["item"]!.ToJsonString());
        Assert.Equal(done, events[^1]["response"]!["output"]!.AsArray().Select(item => item!.ToJsonString()));
        if (outcome == Outcome.ProviderLost) Assert.Equal("error", Type(events[^2]));

        static int Inner(JsonObject e) => (e["content_index"] ?? e["summary_index"])!.GetValue<int>();
    }
}
