using System.IO.Compression;
using System.Text;
using System.Text.Json;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>One server with one quirk, and what every client must get.</summary>
/// <param name="Id">The row in the table of quirks.</param>
/// <param name="Upstream">The provider's interface: chat, messages, gemini or responses.</param>
/// <param name="Whole">What it sends where a whole response is asked for; null where the quirk cannot be there.</param>
/// <param name="Streamed">What it sends where a stream is asked for; null where the quirk cannot be there.</param>
/// <param name="Text">The text that must arrive.</param>
internal sealed record QuirkScenario(string Id, string Upstream, QuirkReply? Whole, QuirkReply? Streamed, string Text = "Hello")
{
    public string Finish { get; init; } = "stop";

    public (string Name, string Arguments)[] Calls { get; init; } = [];

    public string Reasoning { get; init; } = "";

    public int Choices { get; init; } = 1;

    /// <summary>A word that a warning must quote.</summary>
    public string? Warning { get; init; }

    public static IReadOnlyList<QuirkScenario> All => Made.Value;

    private static readonly Lazy<IReadOnlyList<QuirkScenario>> Made = new(() => [.. Tools(), .. Frames(), .. Finishes(), .. Texts(), .. Bodies(), .. OtherInterfaces(), .. QuirksOfMessages.All(), .. QuirksOfResponses.All(), .. QuirksOfGemini.All()]);

    private const string Usage = """{"prompt_tokens":11,"completion_tokens":3,"total_tokens":14}""";

    private static readonly (string, string)[] OneCall = [("get", """{"a":1}""")];
    private static readonly (string, string)[] TwoCalls = [("get", """{"a":1}"""), ("set", """{"b":2}""")];

    private static string Chunk(string delta, string? finish = null) => Chunk($$"""{"index":0,"delta":{{delta}},"finish_reason":{{(finish is null ? "null" : JsonSerializer.Serialize(finish))}}}""", choice: true);

    private static string Chunk(string choices, bool choice) => $$"""{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"up-1","choices":[{{(choice ? choices : "")}}]}""";

    private static readonly string Role = Chunk("""{"role":"assistant","content":""}""");
    private static readonly string UsageChunk = $$"""{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"up-1","choices":[],"usage":{{Usage}}}""";
    private static readonly string[] Plain = [Role, Chunk("""{"content":"Hel"}"""), Chunk("""{"content":"lo"}"""), Chunk("{}", "stop"), UsageChunk, "[DONE]"];

    private static string Body(string message, string? finish = "stop") =>
        $$"""{"id":"c-1","object":"chat.completion","created":1700000000,"model":"up-1","choices":[{"index":0,"message":{{message}},"finish_reason":{{(finish is null ? "null" : JsonSerializer.Serialize(finish))}}}],"usage":{{Usage}}}""";

    private static readonly string PlainBody = Body("""{"role":"assistant","content":"Hello"}""");

    private static string Single(string json) => json.Replace("\"choices\":[", "\"choices\":", StringComparison.Ordinal).Replace("}]", "}", StringComparison.Ordinal);

    private static QuirkReply Fragments(string[] fragments, string finish = "tool_calls") =>
        QuirkReply.Events([Role, .. fragments.Select(f => Chunk($$"""{"tool_calls":[{{f}}]}""")), Chunk("{}", finish), UsageChunk, "[DONE]"]);

    private static QuirkReply WholeCalls(string calls, string finish = "tool_calls") => QuirkReply.Json(Body($$"""{"role":"assistant","content":null,"tool_calls":{{calls}}}""", finish));

    private static QuirkScenario Call(string id, string[]? fragments, string? whole, (string, string)[] calls) =>
        new(id, "chat", whole is null ? null : WholeCalls(whole), fragments is null ? null : Fragments(fragments), "") { Finish = "tool_calls", Calls = calls };

    private static IEnumerable<QuirkScenario> Tools()
    {
        yield return Call("tool-call-without-index", [
            """{"id":"a","type":"function","function":{"name":"get","arguments":""}}""", """{"function":{"arguments":"{\"a\":"}}""", """{"function":{"arguments":"1}"}}""",
            """{"id":"b","type":"function","function":{"name":"set","arguments":"{\"b\":2}"}}"""], null, TwoCalls);
        yield return Call("tool-call-index-repeated", [
            """{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}""", """{"index":0,"id":"b","type":"function","function":{"name":"set","arguments":"{\"b\":"}}""",
            """{"index":0,"function":{"arguments":"2}"}}"""], null, TwoCalls);
        yield return Call("tool-call-index-repeated", [
            """{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}},{"index":0,"id":"b","type":"function","function":{"name":"set","arguments":"{\"b\":2}"}}"""], null, TwoCalls);
        yield return Call("tool-call-index-repeated", [
            """{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}""", """{"index":0,"function":{"name":"set","arguments":"{\"b\":"}}""", """{"index":0,"function":{"arguments":"2}"}}"""], null, TwoCalls);
        yield return Call("tool-call-index-from-1", [
            """{"index":1,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":"}}""", """{"index":1,"function":{"arguments":"1}"}}""",
            """{"index":3,"id":"b","type":"function","function":{"name":"set","arguments":"{\"b\":2}"}}"""], null, TwoCalls);
        yield return Call("tool-call-index-as-text", [
            """{"index":"0","id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":"}}""", """{"index":"0","function":{"arguments":"1}"}}""",
            """{"index":"1","id":"b","type":"function","function":{"name":"set","arguments":"{\"b\":2}"}}"""], null, TwoCalls);
        yield return Call("tool-call-without-id", [
            """{"index":0,"type":"function","function":{"name":"get","arguments":"{\"a\":"}}""", """{"index":0,"function":{"arguments":"1}"}}""",
            """{"index":1,"id":"","type":"function","function":{"name":"set","arguments":"{\"b\":2}"}}"""],
            """[{"type":"function","function":{"name":"get","arguments":"{\"a\":1}"}},{"id":null,"type":"function","function":{"name":"set","arguments":"{\"b\":2}"}}]""", TwoCalls);
        yield return Call("tool-call-without-id", ["""{"type":"function","function":{"name":"get","arguments":"{\"a\":1}"}},{"type":"function","function":{"name":"set","arguments":"{\"b\":2}"}}"""], null, TwoCalls);
        yield return Call("tool-call-new-id-per-fragment", [
            """{"index":0,"id":"a1","type":"function","function":{"name":"get","arguments":""}}""", """{"index":0,"id":"a2","type":"function","function":{"arguments":"{\"a\":"}}""", """{"index":0,"id":"a3","function":{"arguments":"1}"}}"""], null, OneCall);
        yield return Call("tool-call-new-id-per-fragment", [
            """{"id":"a1","type":"function","function":{"name":"get","arguments":""}}""", """{"id":"a2","function":{"arguments":"{\"a\":"}}""", """{"id":"a3","function":{"arguments":"1}"}}""",
            """{"id":"b1","type":"function","function":{"name":"set","arguments":"{\"b\":"}}""", """{"id":"b2","function":{"arguments":"2}"}}"""], null, TwoCalls);
        yield return Call("tool-call-without-type", ["""{"index":0,"id":"a","function":{"name":"get","arguments":"{\"a\":1}"}}"""], """[{"id":"a","function":{"name":"get","arguments":"{\"a\":1}"}}]""", OneCall);
        yield return Call("tool-call-arguments-as-object", ["""{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":{"a":1}}}"""], """[{"id":"a","type":"function","function":{"name":"get","arguments":{"a":1}}}]""", OneCall);
        yield return Call("tool-call-arguments-null", ["""{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":null}}""", """{"index":0,"function":{"arguments":"{\"a\":1}"}}"""],
            """[{"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}]""", OneCall);
        yield return Call("tool-call-arguments-null", ["""{"index":0,"id":"a","type":"function","function":{"name":"get"}}"""], """[{"id":"a","type":"function","function":{"name":"get","arguments":null}}]""", [("get", "{}")]);
        yield return Call("tool-call-name-repeated", [
            """{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":"}}""", """{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"1}"}}"""], null, OneCall);
        yield return Call("tool-call-name-late", ["""{"index":0,"id":"a","type":"function","function":{"arguments":"{\"a\""}}""", """{"index":0,"function":{"name":"get","arguments":":1}"}}"""], null, OneCall);
        yield return Call("tool-call-without-name", ["""{"index":0,"id":"x","type":"function","function":{"arguments":"{\"x\":1}"}}""", """{"index":1,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}"""],
            """[{"id":"x","type":"function","function":{"arguments":"{}"}},{"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}]""", OneCall) with { Warning = "malformed_events_skipped" };
        yield return new("tool-call-without-name", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"Hello","tool_calls":[{"id":"x","type":"function","function":{"name":"","arguments":"{}"}}]}""", "tool_calls")),
            QuirkReply.Events([.. Plain.Take(3), Chunk("""{"tool_calls":[{"index":0,"id":"x","type":"function","function":{"arguments":"{}"}}]}"""), Chunk("{}", "tool_calls"), "[DONE]"])) { Warning = "malformed_events_skipped" };
        yield return Call("tool-call-not-wrapped", ["""{"index":0,"id":"a","name":"get","arguments":"{\"a\":1}"}"""], """[{"id":"a","name":"get","arguments":{"a":1}}]""", OneCall);
        yield return new("tool-calls-as-object", "chat",
            WholeCalls("""{"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}"""),
            QuirkReply.Events(Role, Chunk("""{"tool_calls":{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}}"""), Chunk("{}", "tool_calls"), "[DONE]"), "") { Finish = "tool_calls", Calls = OneCall };
    }

    private static IEnumerable<QuirkScenario> Frames()
    {
        yield return new("role-missing", "chat", QuirkReply.Json(Body("""{"content":"Hello"}""")), QuirkReply.Events([.. Plain.Skip(1)]));
        yield return new("role-missing", "chat", QuirkReply.Json(Body("""{"role":null,"content":"Hello"}""")), QuirkReply.Events([Chunk("""{"role":null,"content":"Hel"}"""), Chunk("""{"role":null,"content":"lo"}"""), .. Plain.Skip(3)]));
        yield return new("role-missing", "chat", QuirkReply.Json(Body("""{"role":"","content":"Hello"}""")), QuirkReply.Events([Chunk("""{"role":"","content":"Hel"}"""), Chunk("""{"role":"","content":"lo"}"""), .. Plain.Skip(3)]));
        yield return new("choices-empty", "chat", QuirkReply.Json($$"""{"id":"c-1","object":"chat.completion","created":1700000000,"model":"up-1","choices":[],"usage":{{Usage}}}"""), QuirkReply.Events(UsageChunk, "[DONE]"), "") { Finish = "failed" };
        yield return new("choices-empty", "chat", QuirkReply.Json("""{"id":"c-1","object":"chat.completion","created":1700000000,"model":"up-1","choices":null}"""), QuirkReply.Events("[DONE]"), "") { Finish = "failed" };
        yield return new("choices-empty", "chat", QuirkReply.Json("""{"id":"c-1","choices":[{"index":0,"finish_reason":"stop"}]}"""), null, "") { Finish = "failed" };
        yield return new("choices-missing-in-event", "chat", null, QuirkReply.Events([Role, """{"id":"c-1","choices":null}""", """{"type":"ping"}""", .. Plain.Skip(1).Take(3), $$"""{"usage":{{Usage}}}""", "[DONE]"]));
        yield return new("choice-without-index", "chat", QuirkReply.Json(PlainBody.Replace("\"index\":0,", "", StringComparison.Ordinal)), QuirkReply.Events([.. Plain.Select(c => c.Replace("\"index\":0,", "", StringComparison.Ordinal))]));
        yield return new("choice-with-message", "chat", QuirkReply.Json(PlainBody.Replace("\"message\"", "\"delta\"", StringComparison.Ordinal)), QuirkReply.Events([.. Plain.Select(c => c.Replace("\"delta\"", "\"message\"", StringComparison.Ordinal))]));
        yield return new("choice-with-message", "chat", QuirkReply.Json(PlainBody.Replace("\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"}", "\"text\":\"Hello\"", StringComparison.Ordinal)),
            QuirkReply.Events(Chunk("""{"index":0,"text":"Hel","finish_reason":null}""", choice: true), Chunk("""{"index":0,"text":"lo","finish_reason":null}""", choice: true), Chunk("""{"index":0,"text":"","finish_reason":"stop"}""", choice: true), "[DONE]"));
        yield return new("choices-as-object", "chat", QuirkReply.Json(Single(PlainBody)), QuirkReply.Events([.. Plain.Take(4).Select(Single), UsageChunk, "[DONE]"]));
        yield return new("choice-without-delta", "chat", null, QuirkReply.Events([.. Plain.Take(3), Chunk("""{"index":0,"finish_reason":"stop"}""", choice: true), UsageChunk, "[DONE]"]));
        yield return new("content-as-parts", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"think"}]},{"type":"text","text":"Hello"}]}""")),
            QuirkReply.Events(Role, Chunk("""{"content":[{"type":"thinking","thinking":[{"type":"text","text":"think"}]}]}"""), Chunk("""{"content":[{"type":"text","text":"Hello"}]}"""), Chunk("{}", "stop"), "[DONE]")) { Reasoning = "think" };
        foreach (var (from, to) in new[] { ("\"id\":\"c-1\",", ""), ("\"created\":1700000000,", ""), ("\"created\":1700000000", "\"created\":\"1700000000\""), ("\"created\":1700000000", "\"created\":1700000000.25"), (",\"model\":\"up-1\"", ""), ("\"id\":\"c-1\",", "\"id\":\"\",") })
        {
            yield return new("envelope-incomplete", "chat", QuirkReply.Json(PlainBody.Replace(from, to, StringComparison.Ordinal)), QuirkReply.Events([.. Plain.Select(c => c.Replace(from, to, StringComparison.Ordinal))]));
        }
        yield return new("id-changes", "chat", null, QuirkReply.Events([.. Plain.Select((c, i) => c.Replace("\"c-1\"", $"\"c-{i}\"", StringComparison.Ordinal))]));
        yield return new("usage-null", "chat", QuirkReply.Json(PlainBody.Replace(Usage, "null", StringComparison.Ordinal)), QuirkReply.Events([.. Plain.Take(4).Select(c => c[..^1] + ",\"usage\":null}"), "[DONE]"]));
    }

    private static IEnumerable<QuirkScenario> Finishes()
    {
        yield return new("finish-twice", "chat", null, QuirkReply.Events([.. Plain.Take(4), Chunk("{}", "stop"), UsageChunk, "[DONE]"]));
        yield return new("finish-twice", "chat", null, QuirkReply.Events([.. Plain.Take(4), Chunk("{}", "length"), "[DONE]"])) { Finish = "length" };
        yield return new("finish-twice", "chat", null, QuirkReply.Events([.. Plain.Take(3), Chunk("{}", "length"), Chunk("{}", "stop"), "[DONE]"])) { Finish = "length" };
        yield return new("finish-in-every-chunk", "chat", null, QuirkReply.Events(Chunk("""{"role":"assistant","content":"Hel"}""", "stop"), Chunk("""{"content":"lo"}""", "stop"), "[DONE]"));
        yield return new("content-after-finish", "chat", null, QuirkReply.Events(Role, Chunk("""{"content":"Hel"}""", "stop"), Chunk("""{"content":"lo"}"""), UsageChunk, "[DONE]"));
        yield return new("finish-empty", "chat", null, QuirkReply.Events([.. Plain.Take(3).Select(c => c.Replace("\"finish_reason\":null", "\"finish_reason\":\"\"", StringComparison.Ordinal)), .. Plain.Skip(3)]));
        yield return new("finish-empty", "chat", null, QuirkReply.Events([.. Plain.Take(3).Select(c => c.Replace("\"finish_reason\":null", "\"finish_reason\":\"null\"", StringComparison.Ordinal)), .. Plain.Skip(3)]));
        foreach (var (word, finish) in new[] { ("eos", "stop"), ("eos_token", "stop"), ("stop_sequence", "stop"), ("end_turn", "stop"), ("max_tokens", "length"), ("model_length", "length"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter") })
        {
            yield return new("finish-foreign-word", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"Hello"}""", word)), QuirkReply.Events([.. Plain.Take(3), Chunk("{}", word), UsageChunk, "[DONE]"])) { Finish = finish };
        }
        foreach (var word in new[] { "abort", "error", "insufficient_system_resource", "of_a_later_date", "sk-secret-1234567890abcdef" })
        {
            var quoted = word.StartsWith("sk-", StringComparison.Ordinal) ? "provider_finish_reason" : word;
            yield return new("finish-failed", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"Hello"}""", word)), null, "") { Finish = "failed" };
            yield return new("finish-failed", "chat", null, QuirkReply.Events([.. Plain.Take(3), Chunk("{}", word), UsageChunk, "[DONE]"])) { Finish = "failed", Warning = quoted };
            yield return new("finish-failed", "chat", null, QuirkReply.Events(Role, Chunk("""{"content":"Hello"}""", word), "[DONE]")) { Finish = "failed" };
            yield return new("finish-failed", "chat", null, QuirkReply.Events(Role, Chunk("{}", word), "[DONE]"), "") { Finish = "failed" };
        }
        yield return new("finish-tools-without-calls", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"Hello"}""", "tool_calls")), QuirkReply.Events([.. Plain.Take(3), Chunk("{}", "tool_calls"), "[DONE]"]));
        yield return new("finish-tools-without-calls", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"Hello","tool_calls":[]}""", "tool_calls")), QuirkReply.Events([.. Plain.Take(3), Chunk("""{"tool_calls":[]}""", "tool_calls"), "[DONE]"]));
        yield return new("finish-stop-with-calls", "chat", WholeCalls("""[{"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}]""", "stop"),
            Fragments(["""{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":1}"}}"""], "stop"), "") { Finish = "tool_calls", Calls = OneCall };
        yield return new("finish-missing-in-whole", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"Hello"}""", null)), null);
        yield return new("done-without-finish", "chat", null, QuirkReply.Events([.. Plain.Take(3), "[DONE]"])) { Finish = "failed" };
        yield return new("done-missing", "chat", null, QuirkReply.Events([.. Plain.SkipLast(1)]));
        yield return new("done-unusual", "chat", null, QuirkReply.Events([.. Plain, "[DONE]"]));
        yield return new("done-unusual", "chat", null, QuirkReply.Events([.. Plain.SkipLast(1), " [DONE] "]));
        yield return new("fewer-choices", "chat", QuirkReply.Json(PlainBody), QuirkReply.Events(Plain)) { Choices = 2, Warning = "fewer_choices" };
    }

    private static IEnumerable<QuirkScenario> Texts()
    {
        yield return new("half-character", "chat", null, QuirkReply.Events(Role, Chunk("""{"content":"a\ud83d"}"""), Chunk("""{"content":"\ude00b"}"""), Chunk("{}", "stop"), "[DONE]"), "a\U0001F600b");
        yield return new("half-character", "chat", null, QuirkReply.Events(Role, Chunk("""{"content":"\ud83d"}"""), Chunk("""{"content":"\ude00"}""", "stop"), "[DONE]"), "\U0001F600");
        yield return new("half-character-lone", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"a\ud83db"}""")), QuirkReply.Events(Role, Chunk("""{"content":"a\ud83d"}"""), Chunk("""{"content":"b"}"""), Chunk("{}", "stop"), "[DONE]"), "a\uFFFDb");
        yield return new("half-character-lone", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"a\ud83d"}""")), QuirkReply.Events(Role, Chunk("""{"content":"a\ud83d"}"""), Chunk("{}", "stop"), "[DONE]"), "a\uFFFD");
        yield return new("half-character-lone", "chat", QuirkReply.Json(Body("""{"role":"assistant","content":"\ude00a"}""")), QuirkReply.Events(Role, Chunk("""{"content":"\ude00a"}"""), Chunk("{}", "stop"), "[DONE]"), "\uFFFDa");
        yield return Call("half-character", ["""{"index":0,"id":"a","type":"function","function":{"name":"get","arguments":"{\"a\":\"\ud83d"}}""", """{"index":0,"function":{"arguments":"\ude00\"}"}}"""], null, [("get", "{\"a\":\"\U0001F600\"}")]);
        byte[] broken = [.. QuirkReply.Utf8(PlainBody[..PlainBody.IndexOf("Hello", StringComparison.Ordinal)]), .. "Hell"u8, 0xF0, 0x9F, .. QuirkReply.Utf8(PlainBody[(PlainBody.IndexOf("Hello", StringComparison.Ordinal) + 5)..])];
        yield return new("invalid-utf8", "chat", new QuirkReply(broken, "application/json"), new QuirkReply([.. QuirkReply.Utf8($"data: {Role}\n\ndata: "), .. QuirkReply.Utf8(Chunk("""{"content":"Hell@"}""")).SelectMany(b => b == (byte)'@' ? [(byte)0xF0, (byte)0x9F] : new[] { b }), .. QuirkReply.Utf8($"\n\ndata: {Plain[3]}\n\ndata: [DONE]\n\n")], "text/event-stream"), "Hell\uFFFD");
        var events = string.Concat(Plain.Select(one => $"data: {one}\n\n"));
        yield return new("event-stream-form", "chat", QuirkReply.Json("\uFEFF" + PlainBody), QuirkReply.Raw("\uFEFF" + events));
        yield return new("event-stream-form", "chat", null, QuirkReply.Raw(events.Replace("\n", "\r\n", StringComparison.Ordinal)));
        yield return new("event-stream-form", "chat", null, QuirkReply.Raw(events.Replace("\n", "\r", StringComparison.Ordinal)));
        yield return new("event-stream-form", "chat", null, QuirkReply.Raw(events.Replace("data: ", "data:", StringComparison.Ordinal)));
        yield return new("event-stream-form", "chat", null, QuirkReply.Raw(": first\n\n" + events.Replace("data: ", ": a comment\nid: 7\nretry: 10\ndata: ", StringComparison.Ordinal)));
        yield return new("event-stream-form", "chat", null, QuirkReply.Raw(events) with { PieceBytes = 7 });
    }

    private static IEnumerable<QuirkScenario> Bodies()
    {
        var json = QuirkReply.Utf8(PlainBody);
        var events = QuirkReply.Events(Plain).Body;
        foreach (var (label, encode) in new (string?, Func<byte[], byte[]>)[] { ("gzip", Gzip), ("x-gzip", Gzip), ("deflate", Zlib), ("deflate", Deflate), ("br", Brotli), ("gzip, gzip", b => Gzip(Gzip(b))), ("gzip", b => Gzip(Gzip(b))), (null, Gzip), (null, Zlib), ("gzip", Zlib), ("br", Gzip), ("gzip", b => b), ("deflate", b => b), ("identity", b => b) })
        {
            yield return new("body-compressed", "chat", new QuirkReply(encode(json), "application/json", label), new QuirkReply(encode(events), "text/event-stream", label));
        }
        yield return new("body-compressed", "chat", null, new QuirkReply(Gzip(events), "text/event-stream") { PieceBytes = 1 });
        yield return new("body-compressed-unreadable", "chat", new QuirkReply([0x28, 0xB5, 0x2F, 0xFD, 1, 2, 3], "application/json", "zstd"), new QuirkReply([0x28, 0xB5, 0x2F, 0xFD, 1, 2, 3], "text/event-stream", "zstd"), "") { Finish = "failed" };
        yield return new("body-compressed-unreadable", "chat", new QuirkReply([0x1F, 0x8B, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8], "application/json", "gzip"), new QuirkReply([0x1F, 0x8B, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8], "text/event-stream", "gzip"), "") { Finish = "failed" };
        var bomb = Gzip(new byte[70 * 1024 * 1024]);
        yield return new("body-compressed-unreadable", "chat", new QuirkReply(bomb, "application/json", "gzip"), null, "") { Finish = "failed" };
        yield return new("stream-for-whole", "chat", QuirkReply.Events(Plain), null);
        yield return new("stream-for-whole", "chat", Fragments(["""{"id":"a","function":{"name":"get","arguments":{"a":1}}}"""]), null, "") { Finish = "tool_calls", Calls = OneCall };
        yield return new("stream-for-whole", "chat", QuirkReply.Raw(": comment\n\n" + string.Concat(Plain.Select(one => $"data: {one}\n\n")), "application/json"), null);
        yield return new("stream-for-whole", "chat", QuirkReply.Events([.. Plain.Take(3)]), null, "") { Finish = "failed" };
        yield return new("whole-for-stream", "chat", null, QuirkReply.Json(PlainBody));
        yield return new("whole-for-stream", "chat", null, QuirkReply.Raw("\n " + PlainBody));
        yield return new("whole-for-stream", "chat", null, WholeCalls("""[{"function":{"name":"get","arguments":{"a":1}}}]"""), "") { Finish = "tool_calls", Calls = OneCall };
        yield return new("lines-for-stream", "chat", QuirkReply.Raw(string.Join('\n', Plain.SkipLast(1)), "application/x-ndjson"), QuirkReply.Raw(string.Join('\n', Plain.SkipLast(1)), "application/x-ndjson"));
        yield return new("lines-for-stream", "chat", QuirkReply.Json($"[{PlainBody}]"), QuirkReply.Json($"[{PlainBody}]"));
        yield return new("content-type-wrong", "chat", QuirkReply.Raw(PlainBody, "text/plain"), QuirkReply.Raw(string.Concat(Plain.Select(one => $"data: {one}\n\n")), "application/json"));
        yield return new("content-type-wrong", "chat", QuirkReply.Raw(PlainBody, "text/event-stream"), QuirkReply.Raw(string.Concat(Plain.Select(one => $"data: {one}\n\n")), "text/html"));
        foreach (var bad in new[] { "<!doctype html><html><body>Bad gateway</body></html>", "", PlainBody[..^40], """{"error":{"message":"broken","type":"server_error"}}""", "null", "\"text\"" })
        {
            yield return new("body-not-a-response", "chat", QuirkReply.Json(bad), QuirkReply.Raw(bad), "") { Finish = "failed" };
        }
        yield return new("error-event", "chat", null, QuirkReply.Raw($"data: {Role}\n\ndata: {Plain[1]}\n\nevent: error\ndata: {{\"message\":\"broken\"}}\n\n"), "Hel") { Finish = "failed" };
        yield return new("error-event", "chat", null, QuirkReply.Events(Role, """{"error":{"message":"broken","code":500}}"""), "") { Finish = "failed" };
    }

    private static IEnumerable<QuirkScenario> OtherInterfaces()
    {
        string Message(string content, string reason) => $$$"""{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{{{content}}}],"stop_reason":"{{{reason}}}","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":3}}""";
        const string TextBlock = """{"type":"text","text":"Hello"}""";
        QuirkReply Events(string reason, params string[] texts) => QuirkReply.Events([
            """{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}}""",
            """{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}""",
            .. texts.Select(text => $$$"""{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"{{{text}}}"}}"""),
            """{"type":"content_block_stop","index":0}""",
            $$$"""{"type":"message_delta","delta":{"stop_reason":"{{{reason}}}","stop_sequence":null},"usage":{"output_tokens":3}}""", """{"type":"message_stop"}"""]);
        foreach (var (word, finish) in new[] { ("stop", "stop"), ("eos_token", "stop"), ("length", "length"), ("content_filter", "content_filter") })
        {
            yield return new("finish-foreign-word", "messages", QuirkReply.Json(Message(TextBlock, word)), Events(word, "Hel", "lo")) { Finish = finish };
        }
        yield return new("finish-failed", "messages", QuirkReply.Json(Message(TextBlock, "abort")), null, "") { Finish = "failed" };
        yield return new("finish-failed", "messages", null, Events("abort", "Hello")) { Finish = "failed", Warning = "abort" };
        yield return new("finish-tools-without-calls", "messages", QuirkReply.Json(Message(TextBlock, "tool_use")), Events("tool_use", "Hello"));
        yield return new("half-character", "messages", null, Events("end_turn", "a\\ud83d", "\\ude00b"), "a\U0001F600b");
        yield return new("half-character-lone", "messages", QuirkReply.Json(Message("""{"type":"text","text":"a\ud83d"}""", "end_turn")), Events("end_turn", "a\\ud83d"), "a\uFFFD");
        yield return new("block-without-index", "messages", null, new QuirkReply(QuirkReply.Utf8(Encoding.UTF8.GetString(Events("end_turn", "Hel", "lo").Body).Replace("\"index\":0,", "", StringComparison.Ordinal).Replace(",\"index\":0", "", StringComparison.Ordinal)), "text/event-stream"));
        yield return new("tool-call-incomplete-in-message", "messages", QuirkReply.Json(Message("""{"type":"tool_use","name":"get","input":"{\"a\":1}"},{"type":"tool_use","id":"","name":"set"}""", "tool_use")), null, "") { Finish = "tool_calls", Calls = [("get", """{"a":1}"""), ("set", "{}")] };
        yield return new("stream-for-whole", "messages", Events("end_turn", "Hel", "lo"), null);
        yield return new("whole-for-stream", "messages", null, QuirkReply.Json(Message(TextBlock, "end_turn")));
        yield return new("body-compressed", "messages", new QuirkReply(Gzip(QuirkReply.Utf8(Message(TextBlock, "end_turn"))), "application/json", "gzip"), new QuirkReply(Gzip(Events("end_turn", "Hello").Body), "text/event-stream", "gzip"));

        string Candidate(string text, string? finish) => $$"""{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"{{text}}"}]}{{(finish is null ? "" : $",\"finishReason\":\"{finish}\"")}}}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":8},"modelVersion":"gemini-2.5-flash"}""";
        yield return new("half-character", "gemini", null, QuirkReply.Events(Candidate("a\\ud83d", null), Candidate("\\ude00b", "STOP")), "a\U0001F600b");
        yield return new("half-character-lone", "gemini", QuirkReply.Json(Candidate("a\\ud83d", "STOP")), QuirkReply.Events(Candidate("a\\ud83d", null), Candidate("", "STOP")), "a\uFFFD");
        yield return new("finish-failed", "gemini", QuirkReply.Json(Candidate("Hello", "OTHER")), null, "") { Finish = "failed" };
        yield return new("finish-failed", "gemini", null, QuirkReply.Events(Candidate("Hello", "OTHER"))) { Finish = "failed", Warning = "OTHER" };
        yield return new("choices-empty", "gemini", QuirkReply.Json("""{"candidates":[]}"""), QuirkReply.Events("""{"candidates":[]}"""), "") { Finish = "failed" };
        yield return new("whole-for-stream", "gemini", null, QuirkReply.Json(Candidate("Hello", "STOP")));
        yield return new("lines-for-stream", "gemini", null, QuirkReply.Json($"[{Candidate("Hel", null)},\n{Candidate("lo", "STOP")}]"));
        yield return new("stream-for-whole", "gemini", QuirkReply.Events(Candidate("Hel", null), Candidate("lo", "STOP")), null);

        const string Output = """{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hello","annotations":[],"logprobs":[]}]}""";
        const string Response = $$$"""{"id":"resp_1","object":"response","created_at":1700000000,"status":"completed","model":"up-1","output":[{{{Output}}}],"usage":{"input_tokens":5,"output_tokens":3,"total_tokens":8}}""";
        string[] made = [
            """{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","output":[]}}""",
            """{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","status":"in_progress","content":[]}}""",
            """{"type":"response.output_text.delta","output_index":0,"content_index":0,"item_id":"msg_1","delta":"Hel"}""",
            """{"type":"response.output_text.delta","output_index":0,"content_index":0,"item_id":"msg_1","delta":"lo"}""",
            $$"""{"type":"response.output_item.done","output_index":0,"item":{{Output}}}""", $$"""{"type":"response.completed","response":{{Response}}}"""];
        yield return new("stream-for-whole", "responses", QuirkReply.Events(made), null);
        yield return new("whole-for-stream", "responses", null, QuirkReply.Json(Response));
        yield return new("half-character", "responses", null, QuirkReply.Events([.. made.Select(e => e.Replace("\"delta\":\"Hel\"", "\"delta\":\"a\\ud83d\"", StringComparison.Ordinal).Replace("\"delta\":\"lo\"", "\"delta\":\"\\ude00b\"", StringComparison.Ordinal).Replace("Hello", "a\\ud83d\\ude00b", StringComparison.Ordinal))]), "a\U0001F600b");
        yield return new("half-character-lone", "responses", null, QuirkReply.Events([.. made.Select(e => e.Replace("\"delta\":\"lo\"", "\"delta\":\"lo\\ud83d\"", StringComparison.Ordinal).Replace("Hello", "Hello\\ud83d", StringComparison.Ordinal))]), "Hello\uFFFD");
        yield return new("body-compressed", "responses", new QuirkReply(Gzip(QuirkReply.Utf8(Response)), "application/json", "gzip"), new QuirkReply(Brotli(QuirkReply.Events(made).Body), "text/event-stream", "br"));
    }

    private static byte[] Gzip(byte[] bytes) => Encode(bytes, to => new GZipStream(to, CompressionLevel.Fastest, leaveOpen: true));

    private static byte[] Zlib(byte[] bytes) => Encode(bytes, to => new ZLibStream(to, CompressionLevel.Fastest, leaveOpen: true));

    private static byte[] Deflate(byte[] bytes) => Encode(bytes, to => new DeflateStream(to, CompressionLevel.Fastest, leaveOpen: true));

    private static byte[] Brotli(byte[] bytes) => Encode(bytes, to => new BrotliStream(to, CompressionLevel.Fastest, leaveOpen: true));

    private static byte[] Encode(byte[] bytes, Func<Stream, Stream> encoder)
    {
        using var output = new MemoryStream();
        using (var encoding = encoder(output)) encoding.Write(bytes);
        return output.ToArray();
    }
}
