namespace Fairlead.FunctionalTests.Quirks;

/// <summary>Servers of Anthropic's interface with one quirk each, beside those that <see cref="QuirkScenario"/> has.</summary>
internal static class QuirksOfMessages
{
    private const string Usage = """{"input_tokens":5,"output_tokens":3}""";
    private const string Block = """{"type":"text","text":"Hello"}""";

    private static readonly (string, string)[] OneCall = [("get", """{"a":1}""")];
    private static readonly (string, string)[] TwoCalls = [("get", """{"a":1}"""), ("set", """{"b":2}""")];

    private static string Message(string content, string reason = "\"end_turn\"") =>
        $$$"""{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":{{{content}}},"stop_reason":{{{reason}}},"stop_sequence":null,"usage":{{{Usage}}}}""";

    private const string Start = """{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}}""";
    private const string Stop = """{"type":"message_stop"}""";

    private static string Delta(string reason) => $$$"""{"type":"message_delta","delta":{"stop_reason":{{{reason}}},"stop_sequence":null},"usage":{"output_tokens":3}}""";

    /// <summary>As Anthropic sends it.</summary>
    private static readonly string[] Plain =
    [
        Start,
        """{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}""",
        """{"type":"content_block_stop","index":0}""",
        Delta("\"end_turn\""),
        Stop,
    ];

    /// <summary>The same for two calls.</summary>
    private static readonly string[] Calls =
    [
        Start,
        """{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_a","name":"get","input":{}}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}""",
        """{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"1}"}}""",
        """{"type":"content_block_stop","index":0}""",
        """{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_b","name":"set","input":{}}}""",
        """{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"b\":2}"}}""",
        """{"type":"content_block_stop","index":1}""",
        Delta("\"tool_use\""),
        Stop,
    ];

    private static QuirkReply Changed(string[] events, params (string From, string To)[] changes) =>
        QuirkReply.Events([.. events.Select(e => changes.Aggregate(e, (text, change) => text.Replace(change.From, change.To, StringComparison.Ordinal)))]);

    private static QuirkReply Leaving(string[] events, params string[] types) => QuirkReply.Events([.. events.Where(e => !types.Any(type => e.StartsWith($"{{\"type\":\"{type}\"", StringComparison.Ordinal)))]);

    private static QuirkScenario Text(string id, string? whole, QuirkReply? streamed) => new(id, "messages", whole is null ? null : QuirkReply.Json(whole), streamed);

    private static QuirkScenario Called(string id, string? whole, QuirkReply? streamed, (string, string)[] calls) =>
        new(id, "messages", whole is null ? null : QuirkReply.Json(whole), streamed, "") { Finish = "tool_calls", Calls = calls };

    public static IEnumerable<QuirkScenario> All()
    {
        foreach (var (from, to) in new[] { ("\"type\":\"message\",", ""), ("\"id\":\"msg_1\",", ""), ("\"model\":\"claude\",", ""), ("\"id\":\"msg_1\"", "\"id\":7") })
        {
            yield return Text("envelope-incomplete", Message($"[{Block}]").Replace(from, to, StringComparison.Ordinal), Changed(Plain, (from, to)));
        }
        yield return Text("envelope-incomplete", null, QuirkReply.Events([Start.Replace("\"content\":[],", "", StringComparison.Ordinal), .. Plain.Skip(1)]));
        yield return Text("role-missing", Message($"[{Block}]").Replace("\"role\":\"assistant\",", "", StringComparison.Ordinal), Changed(Plain, ("\"role\":\"assistant\",", "")));
        yield return Text("role-missing", Message($"[{Block}]").Replace("\"assistant\"", "null", StringComparison.Ordinal), Changed(Plain, ("\"role\":\"assistant\"", "\"role\":\"\"")));
        yield return Text("usage-null", Message($"[{Block}]").Replace(Usage, "null", StringComparison.Ordinal), Changed(Plain, ("{\"output_tokens\":3}", "null"), ("{\"input_tokens\":5,\"output_tokens\":1}", "null")));
        yield return Text("usage-null", Message($"[{Block}]").Replace($",\"usage\":{Usage}", "", StringComparison.Ordinal), Changed(Plain, (",\"usage\":{\"output_tokens\":3}", ""), (",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}", "")));
        yield return Text("block-incomplete", Message("\"Hello\""), null);
        yield return Text("block-incomplete", Message("""[{"text":"Hel"},"lo",null]"""), Changed(Plain, ("\"type\":\"text\",", ""), ("\"type\":\"text_delta\",", "")));
        yield return Text("block-incomplete", Message("""[{"type":"text","text":null},{"type":"text","text":"Hello"}]"""), Changed(Plain, ("\"content_block\":{\"type\":\"text\",\"text\":\"\"}", "\"content_block\":{\"type\":\"text\",\"text\":null}"), ("\"text_delta\"", "\"text\"")));
        yield return Text("block-incomplete", Message(Block), Changed(Plain, (",\"content_block\":{\"type\":\"text\",\"text\":\"\"}", "")));
        yield return Called("tool-call-incomplete-in-message", null, Changed(Calls, ("\"id\":\"toolu_a\",", ""), ("\"toolu_b\"", "\"\""), (",\"input\":{}", "")), TwoCalls);
        yield return Called("tool-call-incomplete-in-message", null, Changed(Calls, ("\"partial_json\":\"{\\\"b\\\":2}\"", "\"partial_json\":{\"b\":2}")), TwoCalls);
        yield return Called("tool-call-incomplete-in-message", null, QuirkReply.Events([.. Calls.Take(1), Calls[1].Replace("\"input\":{}", "\"input\":{\"a\":1}", StringComparison.Ordinal), .. Calls.Skip(4)]), TwoCalls);
        yield return Called("tool-call-incomplete-in-message", null, QuirkReply.Events([.. Calls.Take(1), Calls[1].Replace("\"input\":{}", "\"input\":\"{\\\"a\\\":1}\"", StringComparison.Ordinal), .. Calls.Skip(2)]), TwoCalls);
        yield return Text("tool-call-without-name", Message($$$"""[{{{Block}}},{"type":"tool_use","id":"x","input":{}}]""", "\"tool_use\""),
            QuirkReply.Events([.. Plain.Take(5), .. Calls.Skip(5).Take(3).Select(e => e.Replace("\"name\":\"set\",", "", StringComparison.Ordinal)), Calls[8], Stop])) with { Warning = "malformed_events_skipped" };
        yield return Called("block-without-index", null, Changed(Calls, ("\"index\":0,", ""), ("\"index\":1,", ""), (",\"index\":0", ""), (",\"index\":1", "")), TwoCalls);
        yield return Called("block-index-wrong", null, Changed(Calls, ("\"index\":1", "\"index\":4"), ("\"index\":0", "\"index\":1")), TwoCalls);
        yield return Called("block-index-wrong", null, Changed(Calls, ("\"index\":1", "\"index\":0")), TwoCalls);
        yield return Called("block-index-wrong", null, Changed(Calls, ("\"index\":1", "\"index\":\"1\""), ("\"index\":0", "\"index\":\"0\"")), TwoCalls);
        yield return Text("block-not-begun", null, Leaving(Plain, "message_start"));
        yield return Text("block-not-begun", null, Leaving(Plain, "content_block_start"));
        yield return Text("block-not-begun", null, Leaving(Plain, "message_start", "content_block_start", "content_block_stop"));
        yield return Text("block-not-begun", null, QuirkReply.Events([.. Plain.Take(2), .. Plain.Take(4), .. Plain.Skip(4)]));
        yield return new("block-not-begun", "messages", null, QuirkReply.Events([Start, """{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"think"}}""", .. Plain.Skip(2)])) { Reasoning = "think" };
        yield return Text("block-not-ended", null, Leaving(Plain, "content_block_stop"));
        yield return Called("block-not-ended", null, Leaving(Calls, "content_block_stop"), TwoCalls);
        yield return Called("block-not-ended", null, Changed([.. Calls.Where(e => !e.Contains("content_block_stop", StringComparison.Ordinal))], ("\"index\":1", "\"index\":0")), TwoCalls);
        yield return Called("block-not-ended", null, QuirkReply.Events([.. Calls.Take(4), .. Calls.Skip(8)]), OneCall);
        yield return Text("event-without-type", null, QuirkReply.Raw(string.Concat(Plain.Select(e => $"event: {e.Split('"')[3]}\ndata: {(e == Stop ? "{}" : "{" + e[(e.IndexOf(',', StringComparison.Ordinal) + 1)..])}\n\n"))));
        yield return Text("event-without-type", null, QuirkReply.Events([.. Plain.SkipLast(1).Select(e => "{" + e[(e.IndexOf(',', StringComparison.Ordinal) + 1)..]), Stop]));
        yield return Text("finish-twice", null, QuirkReply.Events([.. Plain.SkipLast(1), Delta("\"end_turn\""), Stop]));
        yield return Text("finish-twice", null, QuirkReply.Events([.. Plain.SkipLast(1), Delta("null"), Stop]));
        yield return Text("finish-twice", null, QuirkReply.Events([.. Plain, Stop]));
        yield return new("finish-twice", "messages", null, QuirkReply.Events([.. Plain.SkipLast(2), Delta("\"max_tokens\""), Delta("\"end_turn\""), Stop])) { Finish = "length" };
        yield return new("finish-twice", "messages", null, QuirkReply.Events([.. Plain.SkipLast(1), Delta("\"max_tokens\""), Stop])) { Finish = "length" };
        yield return Text("content-after-finish", null, QuirkReply.Events([.. Plain.Take(3), Plain[5], Plain[3], Plain[4], Stop]));
        yield return Text("finish-missing-in-whole", Message($"[{Block}]", "null"), null);
        yield return Text("finish-missing-in-whole", Message($"[{Block}]").Replace("\"stop_reason\":\"end_turn\",", "", StringComparison.Ordinal), null);
        yield return new("finish-stop-with-calls", "messages", QuirkReply.Json(Message("""[{"type":"tool_use","id":"toolu_a","name":"get","input":{"a":1}}]""")), Changed([.. Calls.Take(5), .. Calls.Skip(8)], ("\"tool_use\",\"stop", "\"end_turn\",\"stop")), "") { Finish = "tool_calls", Calls = OneCall };
        yield return Text("done-missing", null, QuirkReply.Events([.. Plain.SkipLast(1)]));
        yield return Text("done-unusual", null, QuirkReply.Events([.. Plain, "[DONE]"]));
        yield return new("done-without-finish", "messages", null, QuirkReply.Events([.. Plain.SkipLast(2), Stop])) { Finish = "failed" };
        yield return new("choices-empty", "messages", QuirkReply.Json(Message("[]").Replace("\"output_tokens\":3", "\"output_tokens\":0", StringComparison.Ordinal)), QuirkReply.Events(Start, Stop), "") { Finish = "failed" };
        yield return new("choices-empty", "messages", QuirkReply.Json(Message("null")), null, "") { Finish = "failed" };
    }
}
