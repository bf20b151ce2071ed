namespace Fairlead.FunctionalTests.Quirks;

/// <summary>Servers of Gemini's interface with one quirk each, beside those that <see cref="QuirkScenario"/> has.</summary>
internal static class QuirksOfGemini
{
    private const string Usage = """{"promptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":8}""";
    private const string Get = """{"functionCall":{"name":"get","args":{"a":1}}}""";

    private static readonly (string, string)[] OneCall = [("get", """{"a":1}""")];

    private static string Candidate(string parts, string? finish = "STOP", string index = "0") =>
        $$"""{"candidates":[{"index":{{index}},"content":{"role":"model","parts":{{parts}}}{{(finish is null ? "" : $",\"finishReason\":\"{finish}\"")}}}],"usageMetadata":{{Usage}},"modelVersion":"gemini-2.5-flash"}""";

    private static string Part(string text) => $$"""[{"text":"{{text}}"}]""";

    private static string Single(string json) => json.Replace("\"candidates\":[", "\"candidates\":", StringComparison.Ordinal).Replace("}],\"usageMetadata\"", "},\"usageMetadata\"", StringComparison.Ordinal);

    private static QuirkScenario Text(string id, string? whole, QuirkReply? streamed) => new(id, "gemini", whole is null ? null : QuirkReply.Json(whole), streamed);

    private static QuirkScenario Called(string id, string part) =>
        new(id, "gemini", QuirkReply.Json(Candidate($"[{part}]")), QuirkReply.Events(Candidate($"[{part}]")), "") { Finish = "tool_calls", Calls = OneCall };

    public static IEnumerable<QuirkScenario> All()
    {
        yield return Text("choices-as-object", Single(Candidate(Part("Hello"))), QuirkReply.Events(Single(Candidate(Part("Hel"), null)), Single(Candidate(Part("lo")))));
        yield return Text("choices-missing-in-event", null, QuirkReply.Events(Candidate(Part("Hel"), null), """{"candidates":null}""", $$"""{"candidates":null,"usageMetadata":{{Usage}}}""", Candidate(Part("lo"))));
        yield return Text("choice-without-index", Candidate(Part("Hello"), index: "\"0\""), QuirkReply.Events(Candidate(Part("Hel"), null, "null"), Candidate(Part("lo"), index: "\"0\"")));
        yield return Text("content-as-parts", Candidate("""{"text":"Hello"}"""), QuirkReply.Events(Candidate("""{"text":"Hel"}""", null), Candidate("""["lo"]""")));
        yield return Text("content-as-parts", Candidate("""[{"text":null},{"text":"Hello"},null]"""), QuirkReply.Events(Candidate("null", null), Candidate(Part("Hel"), null), Candidate("""["lo"]""")));
        yield return Text("finish-twice", null, QuirkReply.Events(Candidate(Part("Hel"), null), Candidate(Part("lo")), Candidate(Part(""))));
        yield return Text("finish-twice", null, QuirkReply.Events(Candidate(Part("Hello")), Candidate(Part(""), "MAX_TOKENS"))) with { Finish = "length" };
        yield return Text("finish-in-every-chunk", null, QuirkReply.Events(Candidate(Part("Hel")), Candidate(Part("lo"))));
        yield return Text("content-after-finish", null, QuirkReply.Events(Candidate(Part("Hel")), Candidate(Part("lo"), null)));
        yield return new("content-after-finish", "gemini", null, QuirkReply.Events(Candidate(Part("")), Candidate($"[{Get}]")), "") { Finish = "tool_calls", Calls = OneCall };
        yield return Text("finish-missing-in-whole", Candidate(Part("Hello"), null), null);
        yield return Text("finish-tools-without-calls", Candidate(Part("Hello"), "TOOL_CALLS"), QuirkReply.Events(Candidate(Part("Hello"), "TOOL_CALLS")));
        yield return Called("finish-stop-with-calls", Get);
        yield return Called("tool-call-arguments-as-object", """{"functionCall":{"name":"get","args":"{\"a\":1}"}}""");
        yield return Called("tool-call-without-id", """{"functionCall":{"id":"","name":"get","args":{"a":1}}}""");
        yield return Called("tool-call-without-id", """{"functionCall":{"id":null,"name":"get","args":{"a":1}},"thoughtSignature":null}""");
        yield return Text("tool-call-without-name", Candidate("""[{"text":"Hello"},{"functionCall":{"args":{"a":1}}}]"""), QuirkReply.Events(Candidate(Part("Hello"), null), Candidate("""[{"functionCall":{"name":null}}]"""))) with { Warning = "malformed_events_skipped" };
        yield return Text("usage-null", Candidate(Part("Hello")).Replace(Usage, "null", StringComparison.Ordinal), QuirkReply.Events(Candidate(Part("Hello")).Replace(Usage, "null", StringComparison.Ordinal)));
        yield return new("choices-empty", "gemini", QuirkReply.Json("""{"candidates":null}"""), QuirkReply.Events("""{"candidates":null}"""), "") { Finish = "failed" };
    }
}
