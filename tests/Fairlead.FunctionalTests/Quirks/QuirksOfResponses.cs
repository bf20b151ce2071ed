namespace Fairlead.FunctionalTests.Quirks;

/// <summary>Servers of OpenAI's Responses interface with one quirk each.</summary>
internal static class QuirksOfResponses
{
    private const string Part = """{"type":"output_text","text":"Hello","annotations":[],"logprobs":[]}""";
    private const string Message = $$"""{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{{Part}}]}""";
    private const string Opened = """{"id":"msg_1","type":"message","role":"assistant","status":"in_progress","content":[]}""";
    private const string Get = """{"id":"fc_1","type":"function_call","status":"completed","call_id":"call_1","name":"get","arguments":"{\"a\":1}"}""";
    private const string Set = """{"id":"fc_2","type":"function_call","status":"completed","call_id":"call_2","name":"set","arguments":"{\"b\":2}"}""";
    private const string Usage = """{"input_tokens":5,"output_tokens":3,"total_tokens":8}""";

    private static readonly (string, string)[] OneCall = [("get", """{"a":1}""")];
    private static readonly (string, string)[] TwoCalls = [("get", """{"a":1}"""), ("set", """{"b":2}""")];

    private static string Response(string output, string rest = "\"status\":\"completed\"") =>
        $$$"""{"id":"resp_1","object":"response","created_at":1700000000,"model":"up-1",{{{rest}}},"output":{{{output}}},"usage":{{{Usage}}}}""";

    private static string Completed(string output) => $$$"""{"type":"response.completed","response":{{{Response(output)}}}}""";

    private static readonly string Created = """{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","output":[]}}""";

    /// <summary>As OpenAI sends it.</summary>
    private static readonly string[] Plain =
    [
        Created,
        $$$"""{"type":"response.output_item.added","output_index":0,"item":{{{Opened}}}}""",
        """{"type":"response.content_part.added","item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}""",
        """{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hel","logprobs":[]}""",
        """{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"lo","logprobs":[]}""",
        """{"type":"response.output_text.done","item_id":"msg_1","output_index":0,"content_index":0,"text":"Hello","logprobs":[]}""",
        $$$"""{"type":"response.content_part.done","item_id":"msg_1","output_index":0,"content_index":0,"part":{{{Part}}}}""",
        $$$"""{"type":"response.output_item.done","output_index":0,"item":{{{Message}}}}""",
        Completed($"[{Message}]"),
    ];

    /// <summary>The same for two calls.</summary>
    private static readonly string[] Calls =
    [
        Created,
        """{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","status":"in_progress","call_id":"call_1","name":"get","arguments":""}}""",
        """{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"{\"a\":"}""",
        """{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"1}"}""",
        """{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":0,"arguments":"{\"a\":1}"}""",
        $$$"""{"type":"response.output_item.done","output_index":0,"item":{{{Get}}}}""",
        """{"type":"response.output_item.added","output_index":1,"item":{"id":"fc_2","type":"function_call","status":"in_progress","call_id":"call_2","name":"set","arguments":""}}""",
        """{"type":"response.function_call_arguments.delta","item_id":"fc_2","output_index":1,"delta":"{\"b\":2}"}""",
        """{"type":"response.function_call_arguments.done","item_id":"fc_2","output_index":1,"arguments":"{\"b\":2}"}""",
        $$$"""{"type":"response.output_item.done","output_index":1,"item":{{{Set}}}}""",
        Completed($"[{Get},{Set}]"),
    ];

    private static QuirkReply Without(string[] events, params string[] cuts) => Changed(events, [.. cuts.Select(cut => (cut, ""))]);

    private static QuirkReply Changed(string[] events, params (string From, string To)[] changes) =>
        QuirkReply.Events([.. events.Select(e => changes.Aggregate(e, (text, change) => text.Replace(change.From, change.To, StringComparison.Ordinal)))]);

    private static QuirkReply Leaving(string[] events, params string[] types) => QuirkReply.Events([.. events.Where(e => !types.Any(type => e.StartsWith($"{{\"type\":\"response.{type}\"", StringComparison.Ordinal)))]);

    private static QuirkScenario Text(string id, string? whole, QuirkReply? streamed) => new(id, "responses", whole is null ? null : QuirkReply.Json(whole), streamed);

    private static QuirkScenario Called(string id, string? whole, QuirkReply? streamed, (string, string)[] calls) =>
        new(id, "responses", whole is null ? null : QuirkReply.Json(whole), streamed, "") { Finish = "tool_calls", Calls = calls };

    public static IEnumerable<QuirkScenario> All()
    {
        // Items.
        yield return Text("role-missing", Response($"[{Message.Replace("\"role\":\"assistant\",", "", StringComparison.Ordinal)}]"), Without(Plain, "\"role\":\"assistant\","));
        yield return Text("role-missing", Response($"[{Message.Replace("\"assistant\"", "null", StringComparison.Ordinal)}]"), Changed(Plain, ("\"role\":\"assistant\"", "\"role\":\"\"")));
        yield return Text("item-incomplete", Response("""[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]}]"""), Changed(Plain, (",\"annotations\":[],\"logprobs\":[]", ""), ("\"status\":\"completed\",\"content\"", "\"content\"")));
        yield return Text("item-incomplete", Response("""[{"content":"Hello"}]"""), Changed(Plain, ($"[{Part}]", "\"Hello\"")));
        yield return Text("item-incomplete", Response("""[{"role":"assistant","content":[{"type":"text","text":"Hel"},"lo",null]},null]"""), Changed(Plain, ("\"type\":\"output_text\"", "\"type\":\"text\"")));
        yield return Text("item-incomplete", Response(Message), Changed(Plain, ($"[{Message}]", Message)));
        yield return Text("item-incomplete", Response("null", "\"status\":\"completed\",\"output_text\":\"Hello\""), null);
        yield return Text("item-incomplete", null, Without(Plain, "\"type\":\"message\","));
        yield return Text("item-without-id", Response($"[{Message.Replace("\"id\":\"msg_1\",", "", StringComparison.Ordinal)}]"), Without(Plain, "\"id\":\"msg_1\",", "\"item_id\":\"msg_1\","));
        yield return Called("item-without-id", Response($"[{Get},{Set}]".Replace("\"id\":\"fc_1\",", "", StringComparison.Ordinal).Replace("\"fc_2\"", "null", StringComparison.Ordinal)),
            Without(Calls, "\"id\":\"fc_1\",", "\"id\":\"fc_2\",", "\"item_id\":\"fc_1\",", "\"item_id\":\"fc_2\","), TwoCalls);
        yield return Called("item-without-id", Response($"[{Get},{Set}]".Replace("fc_2", "fc_1", StringComparison.Ordinal)), Changed(Calls, ("fc_2", "fc_1")), TwoCalls);
        yield return Called("tool-call-without-id", Response($"[{Get},{Set}]".Replace("\"call_id\":\"call_1\",", "", StringComparison.Ordinal).Replace("\"call_2\"", "\"\"", StringComparison.Ordinal)),
            Without(Calls, "\"call_id\":\"call_1\",", "\"call_id\":\"call_2\","), TwoCalls);
        yield return Called("tool-call-without-type", Response($"[{Get},{Set}]".Replace("\"type\":\"function_call\",", "", StringComparison.Ordinal)), Changed(Calls, ("\"function_call\"", "\"function\"")), TwoCalls);
        yield return Called("tool-call-arguments-as-object", Response($"[{Get}]".Replace("\"{\\\"a\\\":1}\"", "{\"a\":1}", StringComparison.Ordinal)),
            Changed([.. Calls.Take(2), .. Calls.Skip(4).Take(2), Completed($"[{Get}]")], ("\"{\\\"a\\\":1}\"", "{\"a\":1}")), OneCall);
        yield return Called("tool-call-arguments-null", Response($"[{Get}]".Replace("\"{\\\"a\\\":1}\"", "null", StringComparison.Ordinal)),
            Changed([.. Calls.Take(2), .. Calls.Skip(5).Take(1), Completed($"[{Get}]")], ("\"{\\\"a\\\":1}\"", "null"), (",\"arguments\":\"\"", "")), [("get", "{}")]);
        yield return Called("tool-call-not-wrapped", Response("""[{"id":"fc_1","type":"function_call","call_id":"c","function":{"name":"get","arguments":"{\"a\":1}"}}]"""), null, OneCall);
        yield return Called("tool-call-name-late", null, Changed([.. Calls.Take(6), Completed($"[{Get}]")], ("\"name\":\"get\",\"arguments\":\"\"", "\"arguments\":\"\"")), OneCall);

        yield return Called("tool-call-without-name", Response($"[{Get},{Set}]".Replace("\"name\":\"set\",", "", StringComparison.Ordinal)), Changed(Calls, ("\"name\":\"set\",", "")), OneCall) with { Warning = "malformed_events_skipped" };

        // Places.
        yield return Text("output-index-missing", null, Without(Plain, "\"output_index\":0,"));
        yield return Text("output-index-missing", null, Without(Plain, "\"output_index\":0,", "\"content_index\":0,", "\"item_id\":\"msg_1\","));
        yield return Called("output-index-missing", null, Without(Calls, "\"output_index\":0,", "\"output_index\":1,"), TwoCalls);
        yield return Called("output-index-wrong", null, Changed(Calls, ("\"output_index\":1", "\"output_index\":3"), ("\"output_index\":0", "\"output_index\":1")), TwoCalls);
        yield return Called("output-index-wrong", null, Changed(Calls, ("\"output_index\":1", "\"output_index\":0")), TwoCalls);
        yield return Called("output-index-wrong", null, Changed(Calls, ("\"output_index\":1", "\"output_index\":\"1\""), ("\"output_index\":0", "\"output_index\":\"0\"")), TwoCalls);

        // Start and end of items.
        yield return Text("item-not-begun", null, Leaving(Plain, "output_item.added", "content_part.added"));
        yield return Text("item-not-begun", null, Leaving(Plain, "output_item.added"));
        yield return Text("item-not-begun", null, Leaving(Plain, "content_part.added"));
        yield return Text("item-not-begun", null, Leaving(Plain, "created", "output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done"));
        yield return Called("item-not-begun", null, Leaving(Calls, "output_item.added"), TwoCalls);
        yield return Text("item-not-ended", null, Leaving(Plain, "output_text.done"));
        yield return Text("item-not-ended", null, Leaving(Plain, "content_part.done", "output_item.done"));
        yield return Text("item-not-ended", null, Leaving(Plain, "output_text.done", "content_part.done", "output_item.done"));
        yield return Called("item-not-ended", null, Leaving(Calls, "function_call_arguments.done", "output_item.done"), TwoCalls);
        yield return Text("item-without-deltas", null, Leaving(Plain, "output_text.delta"));
        yield return Text("item-without-deltas", null, Leaving(Plain, "output_text.delta", "output_text.done", "content_part.added", "content_part.done"));
        yield return Text("item-without-deltas", null, QuirkReply.Events(Plain[^1]));
        yield return Text("item-without-deltas", null, QuirkReply.Events(Plain[^2], Plain[^1]));
        yield return Called("item-without-deltas", null, Leaving(Calls, "function_call_arguments.delta"), TwoCalls);
        yield return Called("item-without-deltas", null, QuirkReply.Events(Created, Calls[5], Calls[9], Calls[10]), TwoCalls);
        yield return Text("output-missing-at-end", null, QuirkReply.Events([.. Plain.SkipLast(1), Completed("[]")]));
        yield return Text("output-missing-at-end", null, QuirkReply.Events([.. Plain.SkipLast(1), Completed("null")]));
        yield return Text("output-missing-at-end", null, QuirkReply.Events([.. Plain.SkipLast(1), """{"type":"response.completed"}"""]));
        yield return Text("output-missing-at-end", null, QuirkReply.Events([.. Plain.SkipLast(1), Completed($"[{Message.Replace(Part, "", StringComparison.Ordinal)}]")]));
        yield return Called("output-missing-at-end", null, QuirkReply.Events([.. Calls.SkipLast(1), Completed($"[{Set}]")]), TwoCalls);
        yield return Text("event-without-type", null, QuirkReply.Raw(string.Concat(Plain.Select(e => $"event: {e.Split('"')[3]}\ndata: {{{e[(e.IndexOf(',', StringComparison.Ordinal) + 1)..]}\n\n"))));
        yield return Text("delta-mistyped", null, Changed(Plain, ("\"delta\":\"Hel\"", "\"delta\":{\"text\":\"Hel\"}"), ("\"delta\":\"lo\"", "\"delta\":{\"type\":\"output_text\",\"text\":\"lo\"}")));
        yield return Called("delta-mistyped", null, Changed([.. Calls.Take(2), Calls[3], .. Calls.Skip(4).Take(2), Completed($"[{Get}]")], ("\"delta\":\"1}\"", "\"delta\":{\"a\":1}")), OneCall);

        // The whole.
        yield return Text("envelope-incomplete", Response($"[{Message}]").Replace("\"object\":\"response\",", "", StringComparison.Ordinal), Without(Plain, "\"object\":\"response\","));
        yield return Text("envelope-incomplete", Response($"[{Message}]").Replace("\"id\":\"resp_1\",", "", StringComparison.Ordinal).Replace("\"created_at\":1700000000,\"model\":\"up-1\",", "\"created_at\":\"1\",", StringComparison.Ordinal), null);
        yield return Text("usage-null", Response($"[{Message}]").Replace(Usage, "null", StringComparison.Ordinal), Changed(Plain, (Usage, "null")));
        yield return Text("usage-null", Response($"[{Message}]").Replace($",\"usage\":{Usage}", "", StringComparison.Ordinal), Changed(Plain, ($",\"usage\":{Usage}", "")));
        foreach (var word in new[] { "done", "succeeded", "stop", "SUCCESS", "" })
        {
            yield return Text("finish-foreign-word", Response($"[{Message}]", $"\"status\":\"{word}\""), QuirkReply.Events([.. Plain.SkipLast(1), Plain[^1].Replace("\"status\":\"completed\",\"output\"", $"\"status\":\"{word}\",\"output\"", StringComparison.Ordinal)]));
        }
        foreach (var (status, finish) in new[] { ("\"status\":\"length\"", "length"), ("\"status\":\"max_tokens\"", "length"), ("\"status\":\"incomplete\"", "length"), ("\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"length\"}", "length"), ("\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"SAFETY\"}", "content_filter") })
        {
            yield return new("finish-foreign-word", "responses", QuirkReply.Json(Response($"[{Message}]", status)), QuirkReply.Events([.. Plain.SkipLast(1), Plain[^1].Replace("\"status\":\"completed\",\"output\"", $"{status},\"output\"", StringComparison.Ordinal)])) { Finish = finish };
        }
        yield return Text("finish-foreign-word", null, Changed(Plain, ("\"response.completed\"", "\"response.done\"")));
        yield return new("finish-failed", "responses", QuirkReply.Json(Response($"[{Message}]", "\"status\":\"abort\"")), null, "") { Finish = "failed" };
        yield return new("finish-failed", "responses", null, QuirkReply.Events([.. Plain.SkipLast(1), Plain[^1].Replace("\"status\":\"completed\",\"output\"", "\"status\":\"abort\",\"output\"", StringComparison.Ordinal)])) { Finish = "failed", Warning = "abort" };
        yield return Text("finish-missing-in-whole", Response($"[{Message}]", "\"status\":null"), null);
        yield return Text("finish-missing-in-whole", Response($"[{Message}]", "\"error\":null"), null);
        yield return Text("finish-twice", null, QuirkReply.Events([.. Plain, Plain[^1]]));
        yield return Text("done-unusual", null, QuirkReply.Events([.. Plain, "[DONE]", "[DONE]"]));
        yield return new("done-without-finish", "responses", null, QuirkReply.Events([.. Plain.SkipLast(1), "[DONE]"])) { Finish = "failed" };
        yield return new("choices-empty", "responses", QuirkReply.Json(Response("[]")), QuirkReply.Events(Created, Completed("[]")), "") { Finish = "failed" };
        yield return new("choices-empty", "responses", QuirkReply.Json(Response("null")), QuirkReply.Events(Created, Completed("null")), "") { Finish = "failed" };
        yield return new("choices-empty", "responses", QuirkReply.Json(Response("[null]")), QuirkReply.Events(Created, """{"type":"response.completed"}"""), "") { Finish = "failed" };
        yield return new("choices-empty", "responses", QuirkReply.Json("""{"id":"resp_1","object":"response","status":"completed"}"""), null, "") { Finish = "failed" };
        yield return Text("stream-for-whole", null, null) with { Whole = QuirkReply.Events([.. Plain.SkipLast(1), Completed("[]")]) };
    }
}
