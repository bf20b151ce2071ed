using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>A server of Anthropic's, Gemini's or the Responses interface that writes one response with the quirks that its dice say.</summary>
internal abstract class OtherServer
{
    private static readonly string[] Words = ["Hello", " ", "\U0001F600", "wörld", " \n", "\"quoted\"", "漢字", "!"];
    private static readonly string[] Forms = ["halves", "escapes", "crlf", "comments", "no-space", "gzip", "pieces", "other-form", "wrong-label", "bom"];
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Random _random;
    private readonly HashSet<string> _quirks = new(StringComparer.Ordinal);

    protected OtherServer(Random random, IReadOnlyList<string> quirks)
    {
        _random = random;
        foreach (var quirk in (string[])[.. Forms, .. quirks])
        {
            if (random.Next(5) == 0) _quirks.Add(quirk);
        }
        for (var i = random.Next(1, 6); i > 0; i--) Pieces.Add(Words[random.Next(Words.Length)]);
        Text = string.Concat(Pieces);
        for (var i = random.Next(3); i > 0; i--) Calls.Add((Calls.Count == 0 ? "get" : "set", $$"""{"n":{{random.Next(100).ToString(CultureInfo.InvariantCulture)}}}"""));
        Finish = Calls.Count > 0 ? "tool_calls" : random.Next(4) == 0 ? "length" : "stop";
    }

    public string Text { get; }

    public List<(string Name, string Arguments)> Calls { get; } = [];

    public string Finish { get; }

    public string Quirks => string.Join(' ', _quirks);

    protected List<string> Pieces { get; } = [];

    /// <summary>The text in pieces; half of a character is marked.</summary>
    protected IEnumerable<string> Told => Pieces.SelectMany(piece => Has("halves") && piece == "\U0001F600" ? ["@high@", "@low@"] : new[] { piece });

    public static OtherServer Make(string kind, Random random) => kind switch
    {
        "messages" => new QuirkyClaude(random),
        "gemini" => new QuirkyGemini(random),
        _ => new QuirkyResponses(random),
    };

    public QuirkReply Reply(bool stream, bool isCut)
    {
        var asStream = Has("other-form") ? !stream : stream;
        var body = asStream ? Write(Events()) : Write(Whole());
        var bytes = QuirkReply.Utf8(Has("bom") ? "\uFEFF" + body : body);
        if (isCut) bytes = bytes[.._random.Next(bytes.Length)];
        var label = asStream != Has("wrong-label") ? "text/event-stream" : "application/json";
        if (Has("gzip"))
        {
            using var output = new MemoryStream();
            using (var gzip = new GZipStream(output, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(bytes);
            bytes = output.ToArray();
        }
        return new QuirkReply(bytes, label, Has("gzip") && _random.Next(2) == 0 ? "gzip" : null) { PieceBytes = Has("pieces") ? _random.Next(1, 50) : 0 };
    }

    protected abstract List<JsonObject> Events();

    protected abstract JsonObject Whole();

    /// <summary>Whether only their names identify the events.</summary>
    protected virtual bool NamesOnly => false;

    protected bool Has(string quirk) => _quirks.Contains(quirk);

    /// <summary>A combination that would leave the server without a word about something.</summary>
    protected void Never(string quirk, params string[] with)
    {
        if (with.Length == 0 || with.All(_quirks.Contains)) _quirks.Remove(quirk);
    }

    protected static void Drop(JsonObject node, bool drops, string name)
    {
        if (drops) node.Remove(name);
    }

    private string Write(List<JsonObject> events)
    {
        var text = new StringBuilder();
        foreach (var one in events)
        {
            if (Has("comments") && _random.Next(2) == 0) text.Append(": comment\n\n");
            if (NamesOnly)
            {
                text.Append("event: ").Append(one["type"]!.GetValue<string>()).Append('\n');
                one.Remove("type");
            }
            text.Append(Has("no-space") ? "data:" : "data: ").Append(Write(one)).Append("\n\n");
        }
        return Has("crlf") ? text.Replace("\n", "\r\n").ToString() : text.ToString();
    }

    private string Write(JsonObject root) =>
        root.ToJsonString(Has("escapes") ? JsonSerializerOptions.Default : Relaxed).Replace("@high@", "\\ud83d", StringComparison.Ordinal).Replace("@low@", "\\ude00", StringComparison.Ordinal);
}

/// <summary>Anthropic's interface.</summary>
internal sealed class QuirkyClaude : OtherServer
{
    public QuirkyClaude(Random random)
        : base(random, ["no-frame", "no-role", "no-start", "start-twice", "no-block-start", "no-block-stop", "no-index", "same-index", "index-from-1", "text-index", "names-only", "no-delta-type", "no-block-type", "finish-twice", "foreign-finish",
            "stop-with-calls", "no-usage", "null-usage", "input-at-start", "object-arguments", "no-call-id", "no-stop", "no-reason"])
    {
    }

    protected override bool NamesOnly => Has("names-only");

    private string Reason() => Has("stop-with-calls") && Finish == "tool_calls" ? "end_turn" : (Finish, Has("foreign-finish")) switch
    {
        ("length", true) => "length",
        ("tool_calls", true) => "tool_calls",
        (_, true) => "eos_token",
        ("length", _) => "max_tokens",
        ("tool_calls", _) => "tool_use",
        _ => "end_turn",
    };

    private JsonObject? Usage() => Has("null-usage") ? null : new JsonObject { ["input_tokens"] = 11, ["output_tokens"] = 3 };

    private JsonObject Message(JsonArray content, string? reason)
    {
        var message = new JsonObject { ["id"] = "msg_1", ["type"] = "message", ["role"] = "assistant", ["model"] = "claude", ["content"] = content, ["stop_reason"] = reason, ["stop_sequence"] = null, ["usage"] = Usage() };
        foreach (var name in (string[])["id", "type", "model"]) Drop(message, Has("no-frame"), name);
        Drop(message, Has("no-role"), "role");
        Drop(message, Has("no-usage"), "usage");
        return message;
    }

    protected override JsonObject Whole()
    {
        var content = new JsonArray(Typed(new JsonObject { ["type"] = "text", ["text"] = Text }));
        for (var i = 0; i < Calls.Count; i++) content.Add((JsonNode)Call(i, Has("object-arguments") ? Calls[i].Arguments : JsonNode.Parse(Calls[i].Arguments)!));
        return Message(content, Has("no-reason") && Finish != "length" ? null : Reason());
    }

    protected override List<JsonObject> Events()
    {
        var events = new List<JsonObject>();
        if (!Has("no-start")) events.Add(new JsonObject { ["type"] = "message_start", ["message"] = Message([], null) });
        if (!Has("no-start") && Has("start-twice")) events.Add((JsonObject)events[0].DeepClone());
        if (!Has("no-block-start")) events.Add(At(0, "content_block_start", "content_block", Typed(new JsonObject { ["type"] = "text", ["text"] = "" })));
        foreach (var piece in Told) events.Add(At(0, "content_block_delta", "delta", Delta("text_delta", "text", piece)));
        if (!Has("no-block-stop")) events.Add(At(0, "content_block_stop", null, null));
        for (var i = 0; i < Calls.Count; i++)
        {
            var arguments = Calls[i].Arguments;
            events.Add(At(i + 1, "content_block_start", "content_block", Call(i, Has("input-at-start") ? JsonNode.Parse(arguments)! : new JsonObject())));
            if (Has("object-arguments")) events.Add(At(i + 1, "content_block_delta", "delta", Delta("input_json_delta", "partial_json", JsonNode.Parse(arguments)!)));
            else if (!Has("input-at-start")) events.AddRange(((string[])[arguments[..3], arguments[3..]]).Select(piece => At(i + 1, "content_block_delta", "delta", Delta("input_json_delta", "partial_json", piece))));
            if (!Has("no-block-stop")) events.Add(At(i + 1, "content_block_stop", null, null));
        }
        for (var i = Has("finish-twice") ? 2 : 1; i > 0; i--)
        {
            var end = new JsonObject { ["type"] = "message_delta", ["delta"] = new JsonObject { ["stop_reason"] = Reason(), ["stop_sequence"] = null }, ["usage"] = Usage() };
            Drop(end, Has("no-usage"), "usage");
            events.Add(end);
        }
        if (!Has("no-stop")) events.Add(new JsonObject { ["type"] = "message_stop" });
        return events;
    }

    private JsonObject Call(int i, JsonNode input)
    {
        var call = Typed(new JsonObject { ["type"] = "tool_use", ["id"] = $"toolu_{i.ToString(CultureInfo.InvariantCulture)}", ["name"] = Calls[i].Name, ["input"] = input });
        Drop(call, Has("no-call-id"), "id");
        return call;
    }

    private JsonObject Typed(JsonObject block)
    {
        Drop(block, Has("no-block-type"), "type");
        return block;
    }

    private JsonObject Delta(string type, string name, JsonNode piece)
    {
        var delta = new JsonObject { ["type"] = type, [name] = piece };
        Drop(delta, Has("no-delta-type"), "type");
        return delta;
    }

    private JsonObject At(int index, string type, string? name, JsonNode? inner)
    {
        var one = new JsonObject { ["type"] = type };
        var number = Has("same-index") ? 0 : Has("index-from-1") ? index + 1 : index;
        if (!Has("no-index")) one["index"] = Has("text-index") ? number.ToString(CultureInfo.InvariantCulture) : number;
        if (name is not null) one[name] = inner;
        return one;
    }
}

/// <summary>Gemini's interface.</summary>
internal sealed class QuirkyGemini : OtherServer
{
    public QuirkyGemini(Random random)
        : base(random, ["no-index", "text-index", "one-part", "one-candidate", "finish-twice", "foreign-finish", "text-arguments", "no-call-id", "no-usage", "null-usage", "empty-events", "no-role", "no-reason"])
    {
    }

    private string Reason() => (Finish, Has("foreign-finish")) switch
    {
        ("length", true) => "length",
        ("tool_calls", true) => "tool_calls",
        (_, true) => "eos",
        ("length", _) => "MAX_TOKENS",
        _ => "STOP",
    };

    private JsonObject Response(JsonArray parts, string? reason)
    {
        var content = new JsonObject { ["role"] = "model", ["parts"] = parts.Count == 1 && Has("one-part") ? parts[0]!.DeepClone() : parts };
        Drop(content, Has("no-role"), "role");
        var candidate = new JsonObject { ["content"] = content };
        if (!Has("no-index")) candidate["index"] = Has("text-index") ? "0" : 0;
        if (reason is not null) candidate["finishReason"] = reason;
        var root = new JsonObject { ["candidates"] = Has("one-candidate") ? candidate : new JsonArray(candidate), ["modelVersion"] = "gemini-2.5-flash" };
        if (!Has("no-usage")) root["usageMetadata"] = Has("null-usage") ? null : new JsonObject { ["promptTokenCount"] = 11, ["candidatesTokenCount"] = 3, ["totalTokenCount"] = 14 };
        return root;
    }

    private JsonObject Call((string Name, string Arguments) call)
    {
        var inner = new JsonObject { ["name"] = call.Name, ["args"] = Has("text-arguments") ? call.Arguments : JsonNode.Parse(call.Arguments) };
        if (!Has("no-call-id")) inner["id"] = $"id-{call.Name}";
        return new JsonObject { ["functionCall"] = inner };
    }

    protected override JsonObject Whole() =>
        Response([new JsonObject { ["text"] = Text }, .. Calls.Select(call => (JsonNode)Call(call))], Has("no-reason") && Finish != "length" ? null : Reason());

    protected override List<JsonObject> Events()
    {
        var events = new List<JsonObject>();
        foreach (var piece in Told)
        {
            if (Has("empty-events")) events.Add(new JsonObject { ["candidates"] = null });
            events.Add(Response([new JsonObject { ["text"] = piece }], null));
        }
        foreach (var call in Calls) events.Add(Response([Call(call)], null));
        events.Add(Response([new JsonObject { ["text"] = "" }], Reason()));
        if (Has("finish-twice")) events.Add(Response([], Reason()));
        return events;
    }
}

/// <summary>OpenAI's Responses interface.</summary>
internal sealed class QuirkyResponses : OtherServer
{
    public QuirkyResponses(Random random)
        : base(random, ["no-item-id", "no-output-index", "no-content-index", "same-index", "index-from-1", "text-index", "no-added", "no-part-added", "no-text-done", "no-part-done", "no-item-done", "no-deltas", "empty-end", "no-end-response", "no-role",
            "no-annotations", "plain-part", "text-content", "no-call-id", "object-arguments", "names-only", "no-object", "status-word", "no-status", "null-usage", "no-usage", "done-event", "no-created", "end-twice", "end-mark", "no-item-status"])
    {
        // The stream must contain the text, and identify each call.
        Never("empty-end", "no-deltas");
        Never("no-end-response", "no-deltas");
        foreach (var quirk in (string[])["empty-end", "no-end-response"]) Never(quirk, "no-added", "no-item-done");
        foreach (var quirk in (string[])["no-item-id", "no-output-index", "same-index"]) Never(quirk, "no-added");
        // What an event without a response cannot say.
        if (Finish == "length") Never("no-end-response");
        Never("done-event", "no-end-response");
    }

    protected override bool NamesOnly => Has("names-only");

    private JsonObject Response(JsonArray output)
    {
        var status = Finish == "length" ? "incomplete" : "completed";
        var root = new JsonObject { ["id"] = "resp_1", ["object"] = "response", ["created_at"] = 1700000000, ["model"] = "up-1", ["status"] = Has("status-word") ? Finish == "length" ? "max_tokens" : "succeeded" : status, ["output"] = output };
        if (Finish == "length" && !Has("status-word")) root["incomplete_details"] = new JsonObject { ["reason"] = "max_output_tokens" };
        Drop(root, Has("no-object"), "object");
        Drop(root, Has("no-status") && Finish != "length", "status");
        if (!Has("no-usage")) root["usage"] = Has("null-usage") ? null : new JsonObject { ["input_tokens"] = 11, ["output_tokens"] = 3, ["total_tokens"] = 14 };
        return root;
    }

    private JsonObject Part(string text)
    {
        var part = new JsonObject { ["type"] = Has("plain-part") ? "text" : "output_text", ["text"] = text, ["annotations"] = new JsonArray() };
        Drop(part, Has("no-annotations"), "annotations");
        return part;
    }

    private JsonObject Message(string? text)
    {
        var item = new JsonObject { ["id"] = "msg_1", ["type"] = "message", ["role"] = "assistant", ["status"] = text is null ? "in_progress" : "completed", ["content"] = text is null ? new JsonArray() : Has("text-content") ? text : new JsonArray(Part(text)) };
        Drop(item, Has("no-role"), "role");
        return Item(item);
    }

    private JsonObject Call(int i, bool isDone)
    {
        var number = i.ToString(CultureInfo.InvariantCulture);
        var item = new JsonObject { ["id"] = $"fc_{number}", ["type"] = "function_call", ["status"] = isDone ? "completed" : "in_progress", ["call_id"] = $"call_{number}", ["name"] = Calls[i].Name, ["arguments"] = !isDone ? "" : Has("object-arguments") ? JsonNode.Parse(Calls[i].Arguments) : Calls[i].Arguments };
        Drop(item, Has("no-call-id"), "call_id");
        return Item(item);
    }

    private JsonObject Item(JsonObject item)
    {
        Drop(item, Has("no-item-id"), "id");
        Drop(item, Has("no-item-status"), "status");
        return item;
    }

    private JsonArray Output() => [Message(Text), .. Enumerable.Range(0, Calls.Count).Select(i => (JsonNode)Call(i, isDone: true))];

    protected override JsonObject Whole() => Response(Output());

    protected override List<JsonObject> Events()
    {
        var events = new List<JsonObject>();
        if (!Has("no-created")) events.Add(new JsonObject { ["type"] = "response.created", ["response"] = new JsonObject { ["id"] = "resp_1", ["object"] = "response", ["status"] = "in_progress", ["output"] = new JsonArray() } });
        if (!Has("no-added")) events.Add(At(0, "output_item.added", null, ("item", Message(null))));
        if (!Has("no-part-added")) events.Add(At(0, "content_part.added", "msg_1", ("part", Part(""))));
        if (!Has("no-deltas")) events.AddRange(Told.Select(piece => At(0, "output_text.delta", "msg_1", ("delta", piece))));
        if (!Has("no-text-done")) events.Add(At(0, "output_text.done", "msg_1", ("text", Text)));
        if (!Has("no-part-done")) events.Add(At(0, "content_part.done", "msg_1", ("part", Part(Text))));
        if (!Has("no-item-done")) events.Add(At(0, "output_item.done", null, ("item", Message(Text))));
        for (var i = 0; i < Calls.Count; i++)
        {
            var (id, arguments) = ($"fc_{i.ToString(CultureInfo.InvariantCulture)}", Calls[i].Arguments);
            if (!Has("no-added")) events.Add(At(i + 1, "output_item.added", null, ("item", Call(i, isDone: false))));
            if (!Has("no-deltas")) events.AddRange(((string[])[arguments[..3], arguments[3..]]).Select(piece => At(i + 1, "function_call_arguments.delta", id, ("delta", piece))));
            if (!Has("no-text-done")) events.Add(At(i + 1, "function_call_arguments.done", id, ("arguments", arguments)));
            if (!Has("no-item-done")) events.Add(At(i + 1, "output_item.done", null, ("item", Call(i, isDone: true))));
        }
        var end = new JsonObject { ["type"] = Has("done-event") ? "response.done" : Finish == "length" ? "response.incomplete" : "response.completed", ["response"] = Response(Has("empty-end") ? [] : Output()) };
        Drop(end, Has("no-end-response"), "response");
        events.Add(end);
        if (Has("end-twice")) events.Add((JsonObject)end.DeepClone());
        return events;
    }

    private JsonObject At(int index, string type, string? item, (string Name, JsonNode Value) member)
    {
        var one = new JsonObject { ["type"] = "response." + type };
        var number = Has("same-index") ? 0 : Has("index-from-1") ? index + 1 : index;
        if (!Has("no-output-index")) one["output_index"] = Has("text-index") ? number.ToString(CultureInfo.InvariantCulture) : number;
        if (item is not null && !Has("no-item-id")) one["item_id"] = item;
        if (!Has("no-content-index") && (type.StartsWith("output_text", StringComparison.Ordinal) || type.StartsWith("content_part", StringComparison.Ordinal))) one["content_index"] = 0;
        one[member.Name] = member.Value;
        return one;
    }
}
