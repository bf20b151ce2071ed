using System.Globalization;
using Fairlead.FunctionalTests.Quirks;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>Responses of each kind of provider with many tool calls.</summary>
internal static class ManyCalls
{
    private const string Item = """{"id":"fc_@","type":"function_call","status":"completed","call_id":"call@","name":"name@","arguments":"{}"}""";
    private const string Part = """{"functionCall":{"name":"name@","args":{}}}""";
    private const string Candidate = """{"candidates":[{"index":0,"content":{"role":"model","parts":[#]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":9,"totalTokenCount":14}}""";
    private const string Response = """{"id":"resp_1","object":"response","created_at":1700000000,"status":"completed","model":"m","output":[#],"usage":{"input_tokens":5,"output_tokens":9,"total_tokens":14}}""";
    private const string Chunk = """{"id":"c","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":#,"finish_reason":null}]}""";
    private const string Last = """{"id":"c","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}""";

    public static QuirkReply Reply(string kind, bool stream, int count) => (kind, stream) switch
    {
        ("chat", false) => QuirkReply.Json(Of("""{"id":"c","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[#]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}}""",
            List(count, """{"id":"call@","type":"function","function":{"name":"name@","arguments":"{}"}}"""))),
        ("chat", true) => QuirkReply.Events([
            Of(Chunk, """{"role":"assistant"}"""),
            .. Each(count, Of(Chunk, """{"tool_calls":[{"index":@,"id":"call@","type":"function","function":{"name":"name@","arguments":""}}]}""")),
            .. Each(count, Of(Chunk, """{"tool_calls":[{"index":@,"function":{"arguments":"{}"}}]}""")),
            Last, "[DONE]"]),
        ("claude", false) => QuirkReply.Json(Of("""{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[#],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":9}}""",
            List(count, """{"type":"tool_use","id":"toolu_@","name":"name@","input":{}}"""))),
        ("claude", true) => QuirkReply.Events([
            """{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}}""",
            .. Each(count, """{"type":"content_block_start","index":@,"content_block":{"type":"tool_use","id":"toolu_@","name":"name@","input":{}}}"""),
            .. Each(count, """{"type":"content_block_stop","index":@}"""),
            """{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":9}}""", """{"type":"message_stop"}"""]),
        ("gemini", false) => QuirkReply.Json(Of(Candidate, List(count, Part))),
        ("gemini", true) => QuirkReply.Events([.. Each(count, Of(Candidate, Part)).Select(e => e.Replace(",\"finishReason\":\"STOP\"", "", StringComparison.Ordinal)), Of(Candidate, """{"text":""}""")]),
        (_, false) => QuirkReply.Json(Of(Response, List(count, Item))),
        _ => QuirkReply.Events([
            .. Each(count, Of("""{"type":"response.output_item.added","output_index":@,"item":#}""", Item.Replace("\"{}\"", "\"\"", StringComparison.Ordinal))),
            .. Each(count, """{"type":"response.function_call_arguments.delta","item_id":"fc_@","output_index":@,"delta":"{}"}"""),
            Of("""{"type":"response.completed","response":#}""", Of(Response, List(count, Item)))]),
    };

    private static string Of(string frame, string inner) => frame.Replace("#", inner, StringComparison.Ordinal);

    private static IEnumerable<string> Each(int count, string template) => Enumerable.Range(0, count).Select(i => template.Replace("@", i.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal));

    private static string List(int count, string template) => string.Join(',', Each(count, template));
}
