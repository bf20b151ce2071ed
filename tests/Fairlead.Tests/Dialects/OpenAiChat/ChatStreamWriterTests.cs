using System.Buffers;
using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Tests.Common;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Dialects.OpenAiChat;

public sealed class ChatStreamWriterTests
{
    private static readonly Dialect Dialect = OpenAiChatDialect.Create();

    private const string Head = "\"id\":\"chatcmpl-up\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-x-2026\"";

    private static readonly string[] NativeEvents =
    [
        "{" + Head + ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}",
        "{" + Head + ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Say \\\"model\\\":\\\"gpt-x-2026\\\" é\\n\"},\"finish_reason\":null}],\"usage\":null,\"vendor\":{\"model\":\"gpt-x-2026\"}}",
        "{" + Head + ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"!\"},\"finish_reason\":null}],\"usage\":null}",
        "{" + Head + ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}",
        "{" + Head + ",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18,\"prompt_tokens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":2}}}",
        "[DONE]",
    ];

    private static string Request(string more = "") => $$"""{"model":"fast","messages":[{"role":"user","content":"hi"}],"stream":true{{more}}}""";

    private const string IncludeUsage = ",\"stream_options\":{\"include_usage\":true}";

    private static string Canonical(IEnumerable<GenerationEvent> events, string more = "", Outcome outcome = Outcome.Complete, GatewayError? error = null, bool extensions = true)
    {
        var call = DialectCalls.Answered(Dialect, Request(more), extensions);
        return DialectCalls.Stream(Dialect, call, events, () => call.End(outcome, error));
    }

    private static (string Stream, GatewayCall Call) Native(IEnumerable<string> events, string more = "", Outcome outcome = Outcome.Complete, GatewayError? error = null, bool extensions = true)
    {
        var call = DialectCalls.Answered(Dialect, Request(more), extensions);
        return (DialectCalls.NativeStream(Dialect, call, events.Select(e => new[] { e }), () => call.End(outcome, error)), call);
    }

    [Fact]
    public void ChatStream_Text_MatchesGoldenFile() => GoldenFile.Matches("stream-text.txt", Canonical(
        [new ResponseStarted { SystemFingerprint = "fp_1", ServiceTier = "default" }, new ReasoningDelta("Hm."), new TextDelta("Hel"), new TextDelta("lo \"you\"\n日"), new ChoiceFinished(FinishReason.Stop), new UsageReported(new Usage(11, 7))]));

    [Fact]
    public void ChatStream_TextWithUsage_MatchesGoldenFile() => GoldenFile.Matches("stream-text-usage.txt", Canonical(
        [new ResponseStarted(), new TextDelta("Hello"), new ChoiceFinished(FinishReason.Length), new UsageReported(new Usage(11, 7))], IncludeUsage, Outcome.Length));

    [Fact]
    public void ChatStream_TextWithoutExtensions_MatchesGoldenFile() => GoldenFile.Matches("stream-text-plain.txt", Canonical(
        [new ResponseStarted(), new TextDelta("Hello"), new ChoiceFinished(FinishReason.Stop)], IncludeUsage, extensions: false));

    [Fact]
    public void ChatStream_ParallelTools_MatchesGoldenFile() => GoldenFile.Matches("stream-tools.txt", Canonical(
        [
            new ToolCallStarted(0, "call_1", "look"), new ToolCallDelta(0, "{\"q\":"), new ToolCallStarted(1, "call_2", "run") { Kind = ToolKind.Custom },
            new ToolCallDelta(1, "ls"), new ToolCallDelta(0, "1}"), new ChoiceFinished(FinishReason.ToolCalls),
        ],
        outcome: Outcome.ToolCalls));

    [Fact]
    public void ChatStream_LegacyFunctions_MatchesGoldenFile() => GoldenFile.Matches("stream-functions.txt", Canonical(
        [new ToolCallStarted(0, "call_1", "look"), new ToolCallDelta(0, "{}"), new ChoiceFinished(FinishReason.ToolCalls)], ",\"functions\":[{\"name\":\"look\"}]", Outcome.ToolCalls));

    [Fact]
    public void ChatStream_Refusal_MatchesGoldenFile() => GoldenFile.Matches("stream-refusal.txt", Canonical([new RefusalDelta("I will "), new RefusalDelta("not."), new ChoiceFinished(FinishReason.Stop)]));

    [Fact]
    public void ChatStream_Logprobs_MatchesGoldenFile() => GoldenFile.Matches("stream-logprobs.txt", Canonical(
        [
            new TextDelta("Hi") { Logprobs = [new TokenLogprob("Hi", -0.25, [new TokenLogprob("Hi", -0.25, []) { Bytes = [72, 105] }, new TokenLogprob("Ho", -2, [])]) { Bytes = [72, 105] }] },
            new ChoiceFinished(FinishReason.Stop),
        ],
        ",\"logprobs\":true,\"top_logprobs\":2"));

    [Fact]
    public void ChatStream_TwoChoices_MatchesGoldenFile() => GoldenFile.Matches("stream-two-choices.txt", Canonical(
        [
            new TextDelta("a") { Choice = 0 }, new TextDelta("b") { Choice = 1 }, new ChoiceFinished(FinishReason.Stop) { Choice = 1 }, new TextDelta("c") { Choice = 0 },
            new ChoiceFinished(FinishReason.Length) { Choice = 0 },
        ],
        ",\"n\":2",
        Outcome.Length));

    [Fact]
    public void ChatStream_ProviderLost_MatchesGoldenFile() => GoldenFile.Matches("stream-error.txt", Canonical(
        [new TextDelta("part"), new ChoiceFinished(FinishReason.Stop)], "", Outcome.ProviderLost, new GatewayError(ErrorCode.ProviderError, "The provider's stream broke.")));

    [Fact]
    public void ChatStream_NoEvents_StillWritesRoleAndFinishReasonPerChoice()
    {
        var events = DialectCalls.Events(Canonical([], ",\"n\":2"));
        var choices = events.Select(e => e["choices"]!.AsArray().Single()!).ToList();
        Assert.Equal([0, 1, 0, 1], choices.Select(c => (int)c["index"]!));
        Assert.Equal(["assistant", "assistant", null, null], choices.Select(c => (string?)c["delta"]!["role"]));
        Assert.Equal([null, null, "stop", "stop"], choices.Select(c => (string?)c["finish_reason"]));
    }

    [Theory]
    [InlineData(nameof(Outcome.Deadline), "deadline_exceeded")]
    [InlineData(nameof(Outcome.ProviderLost), "provider_error")]
    public void End_FailedWithoutError_WritesErrorEvent(string outcome, string code)
    {
        var stream = Canonical([new TextDelta("part")], outcome: Enum.Parse<Outcome>(outcome));
        Assert.DoesNotContain("[DONE]", stream, StringComparison.Ordinal);
        var last = DialectCalls.Events(stream)[^1];
        Assert.Equal(code, (string?)last["error"]!["code"]);
        Assert.Equal(Enum.Parse<Outcome>(outcome).ToWire(), (string?)last["fairlead"]!["outcome"]);
    }

    [Fact]
    public void NativeStream_Events_KeepEverythingExceptModel()
    {
        var (stream, call) = Native(NativeEvents);
        Assert.EndsWith("data: [DONE]\n\n", stream, StringComparison.Ordinal);
        var events = DialectCalls.Events(stream);
        Assert.Equal(4, events.Count);
        for (var i = 0; i < events.Count; i++)
        {
            Assert.Equal(i, (int)events[i]["sequence_number"]!);
            Assert.Contains($"id: {i}\ndata: ", stream, StringComparison.Ordinal);
            Assert.Equal(i is 0 or 3, events[i].ContainsKey("fairlead"));
            var expected = JsonNode.Parse(NativeEvents[i])!;
            expected["model"] = "fast";
            // The client asked for no usage chunk, so the last chunk contains the usage.
            if (i == 3) expected["usage"] = JsonNode.Parse(NativeEvents[4])!["usage"]!.DeepClone();
            events[i].Remove("sequence_number");
            events[i].Remove("fairlead");
            Assert.True(JsonNode.DeepEquals(expected, events[i]), events[i].ToJsonString());
        }
        var meter = call.Answering!.Meter;
        Assert.Equal(new Usage(11, 7) { CachedInputTokens = 4, ReasoningTokens = 2 }, meter.Reported);
        Assert.Equal(FinishReason.Stop, meter.FinishReason);
        Assert.Equal("gpt-x-2026", meter.UpstreamModel);
        Assert.Equal(Encoding.UTF8.GetByteCount("Say \"model\":\"gpt-x-2026\" é\n!"), meter.OutputBytes);
    }

    [Fact]
    public void NativeStream_UsageRequested_ComesLastWithOutcome()
    {
        var events = DialectCalls.Events(Native(NativeEvents, IncludeUsage).Stream);
        Assert.Equal(5, events.Count);
        Assert.Empty(events[4]["choices"]!.AsArray());
        Assert.Equal(18, (int)events[4]["usage"]!["total_tokens"]!);
        Assert.Equal("complete", (string?)events[4]["fairlead"]!["outcome"]);
        Assert.False(events[3].ContainsKey("fairlead"));
    }

    [Fact]
    public void NativeStream_UsageRequestedButNotSent_IsWrittenFromMeter()
    {
        var events = DialectCalls.Events(Native(NativeEvents.Where(e => !e.Contains("\"choices\":[]", StringComparison.Ordinal)), IncludeUsage).Stream);
        Assert.Equal(5, events.Count);
        Assert.Equal("chatcmpl-up", (string?)events[4]["id"]);
        Assert.Equal(1700000000, (long)events[4]["created"]!);
        Assert.Equal(11, (int)events[4]["usage"]!["prompt_tokens"]!);
        Assert.Equal(4, (int)events[4]["usage"]!["prompt_tokens_details"]!["cached_tokens"]!);
    }

    [Fact]
    public void NativeStream_UsageInFinishChunk_IsNotSentTwice()
    {
        var finish = "{" + Head + ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}";
        var events = DialectCalls.Events(Native([NativeEvents[1], finish, "[DONE]"], IncludeUsage).Stream);
        Assert.Null(events[1]["usage"]);
        Assert.NotNull(events[2]["usage"]);
        events = DialectCalls.Events(Native([NativeEvents[1], finish, "[DONE]"]).Stream);
        Assert.Equal(3, (int)events[1]["usage"]!["total_tokens"]!);
    }

    [Fact]
    public void NativeStream_ExtensionsOff_ChangesOnlyModel()
    {
        var (stream, _) = Native(NativeEvents, IncludeUsage, extensions: false);
        var expected = string.Concat(NativeEvents.Select(e => "data: " + e.Replace(Head, Head.Replace("gpt-x-2026", "fast", StringComparison.Ordinal), StringComparison.Ordinal) + "\n\n"));
        Assert.Equal(expected, stream);
    }

    [Fact]
    public void NativeStream_EndsWithError_SendsNoFinishReasonOrDone()
    {
        var (stream, _) = Native(NativeEvents[..4], "", Outcome.ProviderLost, new GatewayError(ErrorCode.ProviderError, "Broken."));
        var events = DialectCalls.Events(stream);
        Assert.DoesNotContain("[DONE]", stream, StringComparison.Ordinal);
        Assert.DoesNotContain("\"stop\"", string.Concat(events[..^1].Select(e => e.ToJsonString())), StringComparison.Ordinal);
        Assert.Equal("Broken.", (string?)events[^1]["error"]!["message"]);
        Assert.Equal("provider_lost", (string?)events[^1]["fairlead"]!["outcome"]);
        Assert.Equal(3, (int)events[^1]["sequence_number"]!);
    }

    [Fact]
    public void NativeStream_AzureLeadingChunk_IsFirstEvent()
    {
        const string Leading = """{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}""";
        var events = DialectCalls.Events(Native([Leading, .. NativeEvents]).Stream);
        Assert.Equal(5, events.Count);
        Assert.NotNull(events[0]["prompt_filter_results"]);
        Assert.NotNull(events[0]["fairlead"]);
        Assert.Equal("fast", (string?)events[1]["model"]);
    }

    [Fact]
    public void NativeStream_PrettyPrintedEvent_IsWrittenOnOneLine()
    {
        var pretty = NativeEvents[1].Replace(",\"choices\"", ",\n\"choices\"", StringComparison.Ordinal);
        var events = DialectCalls.Events(Native([pretty, NativeEvents[3]]).Stream);
        Assert.Equal(2, events.Count);
    }

    [Theory]
    [InlineData("\"\"", 0)]
    [InlineData("\"null\"", 0)]
    [InlineData("\"stop\"", 1)]
    public void NativeStream_FinishReasonInEveryChunk_KeepsTextOrder(string reason, int finished)
    {
        string Chunk(string text) => "{" + Head + ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text + "\"},\"finish_reason\":" + reason + "}]}";
        var (stream, call) = Native([Chunk("a"), Chunk("b"), Chunk("c"), "[DONE]"]);
        Assert.Equal("abc", string.Concat(DialectCalls.Events(stream).Select(e => (string?)e["choices"]![0]!["delta"]!["content"])));
        Assert.Equal(finished, call.Answering!.Meter.FinishedChoices);
        Assert.Equal("stop", (string?)DialectCalls.Events(stream)[^1]["choices"]![0]!["finish_reason"]);
    }

    [Fact]
    public void Scanner_MalformedEvents_AreSkippedAndCounted()
    {
        var (stream, call) = Native(["{\"choices\":[{\"delta\":{\"content\":\"lost", "[1]", "nonsense", .. NativeEvents]);
        Assert.Equal(3, call.Answering!.Meter.SkippedEvents);
        Assert.Equal(4, DialectCalls.Events(stream).Count);
        Assert.DoesNotContain("lost", stream, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", """{"error":{"message":"m","type":"server_error","code":"boom"}}""", "boom", "m")]
    [InlineData("", """{"error":{"message":"m","type":"server_error","code":null}}""", "server_error", "m")]
    [InlineData("", """{"error":{"message":"m","code":503}}""", "503", "m")]
    [InlineData("", """{"error":"m"}""", null, "m")]
    [InlineData("", """{"object":"error","message":"m"}""", null, "m")]
    [InlineData("error", "plain text", null, null)]
    public void Scanner_ErrorEvent_IsReported(string name, string data, string? type, string? message)
    {
        var scanned = Dialect.Native!.Streams!.CreateScanner(new OutputMeter()).Scan(Encoding.UTF8.GetBytes(name), Encoding.UTF8.GetBytes(data), out var error);
        Assert.Null(scanned);
        Assert.Equal(new Fairlead.Dialects.UpstreamError(type, message), error);
    }

    [Fact]
    public void Scanner_ChunkWithNullError_IsNotAnError()
    {
        var scanned = Dialect.Native!.Streams!.CreateScanner(new OutputMeter()).Scan(default, """{"error":null,"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"""u8, out var error);
        Assert.Null(error);
        Assert.Equal(NativeEventTraits.Content, scanned!.Value.Traits);
    }

    [Fact]
    public void NativeStream_SplitAnywhere_WritesSameBytes()
    {
        var bytes = Encoding.UTF8.GetBytes(string.Concat(NativeEvents.Select(e => "data: " + e + "\r\n\r\n")));
        var expected = Native(NativeEvents).Stream;
        Gen.Int[1, bytes.Length].Array[0, 12].Sample(cuts =>
        {
            var call = DialectCalls.Answered(Dialect, Request());
            var scanner = Dialect.Native!.Streams!.CreateScanner(call.Answering!.Meter);
            var writer = Dialect.Streams!.CreateWriter(call);
            var output = new ArrayBufferWriter<byte>();
            using var parser = new SseParser();
            using var batch = new EventBatch();
            var position = 0;
            foreach (var cut in cuts.Append(bytes.Length).Order())
            {
                parser.Append(bytes.AsSpan(position, cut - position));
                position = cut;
                batch.Clear();
                while (parser.TryRead(out var name, out var data))
                {
                    if (scanner.Scan(name, data, out _) is { } kind) batch.AddNative(data, kind.Kind, kind.Traits);
                }
                writer.Write(batch, output);
            }
            call.End();
            writer.WriteEnd(output);
            Assert.Equal(expected, Encoding.UTF8.GetString(output.WrittenSpan));
        });
    }

    [Fact]
    public void Scanner_MutatedEvents_NeverThrow()
    {
        var valid = Encoding.UTF8.GetBytes(NativeEvents[1]);
        Gen.Select(Gen.Int[0, valid.Length - 1], Gen.Byte, Gen.Bool).Sample(
            (at, value, cut) =>
            {
                byte[] data = cut ? valid[..at] : [.. valid[..at], value, .. valid[(at + 1)..]];
                var call = DialectCalls.Answered(Dialect, Request());
                var writer = Dialect.Streams!.CreateWriter(call);
                using var batch = new EventBatch();
                if (Dialect.Native!.Streams!.CreateScanner(call.Answering!.Meter).Scan(default, data, out _) is { } kind) batch.AddNative(data, kind.Kind, kind.Traits);
                var output = new ArrayBufferWriter<byte>();
                writer.Write(batch, output);
                call.End();
                writer.WriteEnd(output);
                DialectCalls.Events(Encoding.UTF8.GetString(output.WrittenSpan));
            },
            iter: 3_000);
    }
}
