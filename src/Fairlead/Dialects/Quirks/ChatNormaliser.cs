using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.TokenCounting;
using static Fairlead.Dialects.Quirks.QuirkJson;

namespace Fairlead.Dialects.Quirks;

/// <summary>
/// Converts responses of OpenAI-compatible chat servers to what OpenAI itself sends, for the native and the translating path. An event or
/// body without a quirk keeps its bytes: the scan of every event detects quirks. Only an event with a quirk is parsed and rewritten. One
/// per stream or body; not thread-safe.
/// </summary>
/// <param name="isChat">False for text completions, which have neither roles nor tools.</param>
/// <param name="createdAt">Creation time for responses that have none, in seconds of Unix time.</param>
/// <param name="meter">Counts what is left out.</param>
internal sealed class ChatNormaliser(bool isChat, long createdAt, OutputMeter? meter = null)
{
    private readonly List<Choice> _choices = new(1);
    private byte[]? _id;
    private string? _ownId;
    private JsonNode? _created;
    private string? _model;

    /// <summary>Whether an event is <c>[DONE]</c>, with or without spaces and quotes.</summary>
    public static bool IsEndMark(ReadOnlySpan<byte> data) =>
        data.Length is >= 4 and <= 10 && data.Trim(" \t\r\n\"[]"u8).SequenceEqual("DONE"u8);

    /// <summary>Whether a choice has started and not ended.</summary>
    public bool HasOpenChoice => _choices.Exists(static choice => choice.Reason == FinishMeaning.None);

    /// <summary>Whether a scanned event has neither choices nor usage.</summary>
    public static bool IsEmptyEvent(in OpenAiResponseScanner.Found found) =>
        !found.HasChoices && !found.HasSingleChoice && !found.HasUsage && found.FailedReason is null;

    /// <summary>Scans one event of a stream. False when it is not one JSON object.</summary>
    /// <param name="data">The event.</param>
    /// <param name="wantModel">Whether the model's name is still needed.</param>
    /// <param name="found">The content of the event after the repair.</param>
    /// <param name="repaired">The repaired event; null when it is unchanged.</param>
    public bool TryNormalise(ReadOnlySpan<byte> data, bool wantModel, out OpenAiResponseScanner.Found found, out byte[]? repaired)
    {
        repaired = null;
        if (!OpenAiResponseScanner.TryScan(data, wantModel, out found)) return false;
        if (found.IsError || IsEmptyEvent(found) || IsNormal(found, data)) return true;
        var failed = found.FailedReason;
        if (Rewrite(data, Event) is not { } rewritten) return true;
        repaired = rewritten;
        OpenAiResponseScanner.TryScan(rewritten, wantModel, out found);
        found.FailedReason = failed ?? _choices.Find(static choice => choice.FailedReason is not null)?.FailedReason;
        return true;
    }

    /// <summary>A whole body as OpenAI sends it: the same bytes without a quirk.</summary>
    public static byte[]? RepairWhole(ReadOnlySpan<byte> body, bool isChat, long createdAt, OutputMeter? meter = null)
    {
        return OpenAiResponseScanner.TryScan(body, wantModel: false, out var found) && MayNeedRepair(found, isChat)
            ? Repair(body, isChat, createdAt, meter)
            : null;
    }

    /// <summary>Whether a scan found something that <see cref="Repair"/> may have to repair.</summary>
    public static bool MayNeedRepair(in OpenAiResponseScanner.Found found, bool isChat)
    {
        if (found.IsError || found.FailedReason is not null || (found.Choices == 0 && !found.HasSingleChoice)) return false;
        return found.HasQuirk || !found.HasEnvelope || found.HasDelta || found.HasMessage != isChat;
    }

    /// <summary>The repaired body; null when there is nothing to repair.</summary>
    public static byte[]? Repair(ReadOnlySpan<byte> body, bool isChat, long createdAt, OutputMeter? meter) =>
        Rewrite(body, root => new ChatNormaliser(isChat, createdAt, meter).Whole(root));

    private static byte[]? Rewrite(ReadOnlySpan<byte> data, Func<JsonObject, bool> repair)
    {
        try
        {
            if (JsonNode.Parse(data, documentOptions: new JsonDocumentOptions { MaxDepth = 512 }) is not JsonObject root || !repair(root))
            {
                return null;
            }
            var output = new ArrayBufferWriter<byte>(data.Length + 256);
            using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) root.WriteTo(json);
            return output.WrittenSpan.ToArray();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException or FormatException)
        {
            // Duplicate members or strings that are not text: forwarded unchanged.
            return null;
        }
    }

    private bool IsNormal(in OpenAiResponseScanner.Found found, ReadOnlySpan<byte> data)
    {
        // Azure starts with a chunk that has neither an id nor choices.
        if (found is { HasChoices: true, Choices: 0, HasQuirk: false, HasUsage: false } && _id is null && _ownId is null) return true;
        if (found.HasQuirk || !found.HasChoices || found.Choices > 1 || found.HasMessage || !found.HasEnvelope) return false;
        var id = data.Slice(found.IdStart, found.IdLength);
        if (_id is null)
        {
            // The id of all earlier events.
            if (_ownId is not null && Encoding.UTF8.GetString(id[1..^1]) != _ownId) return false;
            _id = id.ToArray();
        }
        else if (!id.SequenceEqual(_id))
        {
            return false;
        }
        if (found.Choices == 0) return true;
        // A chunk of the other API, or a text next to an empty member.
        if (found.HasDelta != isChat) return false;

        var choice = Of(found.Choice);
        if (isChat && !choice.Started && !found.HasRole) return false;
        if (found.Calls > 1) return false;
        if (found.Calls == 1)
        {
            var open = choice.Calls.Count;
            if (choice.IsRegular && found.CallIndex == open && found.CallId is not null && found.CallHasName && found.CallHasType
                && choice.Find(found.CallId) is null)
            {
                var made = choice.Current = choice.Add(open);
                choice.Name(made, found.CallId);
                made.Name = found.CallName;
                made.HasUnseenArguments = true;
                choice.NamedCalls++;
            }
            else if (choice.IsRegular && found.CallIndex >= 0 && found.CallIndex < open
                && choice.Calls[found.CallIndex] is { At: var at, Name: not null } known && at == found.CallIndex && found.CallId is null
                && !found.CallHasName)
            {
                known.HasUnseenArguments = true;
                choice.Current = known;
            }
            else
            {
                return false;
            }
        }
        choice.HasLegacyCall |= found.HasLegacyCall;
        if (found.Finished is { } finished)
        {
            var called = choice.HasCalls;
            if (choice.Reason != FinishMeaning.None || (finished.Reason == FinishReason.ToolCalls && !called)
                || (finished.Reason == FinishReason.Stop && called) || choice.HasWaitingCall)
            {
                return false;
            }
            choice.Reason = MeaningOf(finished.Reason);
        }
        choice.Started = true;
        return true;
    }

    private static FinishMeaning MeaningOf(FinishReason reason) => reason switch
    {
        FinishReason.Length => FinishMeaning.Length,
        FinishReason.ToolCalls => FinishMeaning.ToolCalls,
        FinishReason.ContentFilter => FinishMeaning.ContentFilter,
        _ => FinishMeaning.Stop,
    };

    private Choice Of(int index)
    {
        foreach (var choice in _choices)
        {
            if (choice.Index == index) return choice;
        }
        var made = new Choice(index);
        _choices.Add(made);
        return made;
    }

    private bool Event(JsonObject root)
    {
        var changed = Envelope(root, isChat ? "chat.completion.chunk" : "text_completion");
        if (root["choices"] is not JsonArray choices)
        {
            var single = root["choices"] as JsonObject;
            root.Remove("choices");
            root["choices"] = choices = single is null ? [] : [single];
            changed = true;
        }
        changed |= Keep(choices, static (choice, _) => choice is JsonObject);
        for (var i = 0; i < choices.Count; i++) changed |= StreamChoice((JsonObject)choices[i]!, i);
        return changed;
    }

    private bool Envelope(JsonObject root, string objectName)
    {
        var changed = false;
        var id = Text(root["id"]);
        if (string.IsNullOrEmpty(id) && Number(root["id"]) is { } numeric) id = numeric.ToString(CultureInfo.InvariantCulture);
        var known = _id is null ? null : JsonNode.Parse(_id)?.GetValue<string>();
        known ??= _ownId;
        if (known is null)
        {
            known = string.IsNullOrEmpty(id) ? _ownId = (isChat ? "chatcmpl-" : "cmpl-") + Guid.NewGuid().ToString("N") : id;
            _ownId = known;
        }
        if (Text(root["id"]) != known)
        {
            root["id"] = known;
            changed = true;
        }
        if (Text(root["object"]) != objectName)
        {
            root["object"] = objectName;
            changed = true;
        }
        if (root["created"] is not JsonValue created || created.GetValueKind() != JsonValueKind.Number || !created.TryGetValue<long>(out _))
        {
            // Whole seconds, also from texts and fractions.
            _created ??= JsonValue.Create(Number(root["created"]) ?? createdAt);
            root["created"] = _created.DeepClone();
            changed = true;
        }
        else
        {
            _created ??= created.DeepClone();
        }
        var model = Text(root["model"]);
        if (string.IsNullOrEmpty(model))
        {
            root["model"] = _model ?? "";
            changed = true;
        }
        else
        {
            _model ??= model;
        }
        return changed;
    }

    private bool StreamChoice(JsonObject node, int position)
    {
        var changed = Index(node, position, out var index);
        var choice = Of(index);
        if (isChat)
        {
            if (node["delta"] is not JsonObject delta)
            {
                // Some servers use the name of a whole response.
                var message = node["message"] as JsonObject;
                node.Remove("message");
                node.Remove("delta");
                node["delta"] = delta = message ?? [];
                changed = true;
            }
            changed |= Role(delta, choice.Started);
            choice.Started = true;
            changed |= Content(delta, isWhole: false);
            changed |= StreamCalls(delta, choice);
            if (delta["function_call"] is JsonObject legacy)
            {
                choice.HasLegacyCall = true;
                changed |= Arguments(legacy, "arguments", isWhole: false);
            }
            if (Text(node["text"]) is { Length: > 0 } text && !delta.ContainsKey("content"))
            {
                delta["content"] = text;
                node.Remove("text");
                changed = true;
            }
        }
        else
        {
            changed |= PlainText(node);
        }
        return changed | StreamFinish(node, choice);
    }

    // A text completion from a server that sends the frame of a chat.
    private static bool PlainText(JsonObject node)
    {
        var inner = node["delta"] as JsonObject ?? node["message"] as JsonObject;
        if (inner is null && node["text"] is JsonValue) return false;
        var text = Text(node["text"]) is { Length: > 0 } given ? given : null;
        if (inner is not null)
        {
            Content(inner, isWhole: false);
            text ??= Text(inner["content"]);
            node.Remove("delta");
            node.Remove("message");
        }
        node["text"] = text ?? "";
        return true;
    }

    private static bool Index(JsonObject node, int position, out int index)
    {
        if (node["index"] is JsonValue value && value.GetValueKind() == JsonValueKind.Number && value.TryGetValue(out index)
            && index is >= 0 and < 128)
        {
            return false;
        }
        index = Number(node["index"]) is >= 0 and < 128 and var number ? (int)number : position;
        node["index"] = index;
        return true;
    }

    private static bool Role(JsonObject message, bool started)
    {
        if (started
            ? !message.ContainsKey("role") || message["role"] is null || Text(message["role"]) == "assistant"
            : Text(message["role"]) == "assistant")
        {
            return false;
        }
        message["role"] = "assistant";
        return true;
    }

    // A list of parts becomes text and reasoning, as from Mistral's reasoning models.
    private static bool Content(JsonObject message, bool isWhole)
    {
        var changed = false;
        foreach (var name in (ReadOnlySpan<string>)["content", "reasoning_content", "reasoning", "refusal"])
        {
            switch (message[name])
            {
                case JsonArray parts:
                    var (text, thinking) = (new StringBuilder(), new StringBuilder());
                    Collect(parts, text, thinking);
                    if (thinking.Length > 0 && name == "content")
                    {
                        message["reasoning_content"] = (Text(message["reasoning_content"]) ?? "") + thinking;
                    }
                    message[name] = text.ToString();
                    changed = true;
                    break;
                case JsonObject part:
                    var (single, thought) = (new StringBuilder(), new StringBuilder());
                    Collect([part.DeepClone()], single, thought);
                    if (name == "reasoning" && single.Length == 0) break;
                    message[name] = single.ToString();
                    changed = true;
                    break;
                case JsonValue value when value.GetValueKind() is not (JsonValueKind.String or JsonValueKind.Null):
                    message[name] = value.ToJsonString();
                    changed = true;
                    break;
            }
        }
        if (!isWhole || message.ContainsKey("content")) return changed;
        message["content"] = null;
        return true;
    }

    private static void Collect(JsonArray parts, StringBuilder text, StringBuilder thinking)
    {
        foreach (var part in parts)
        {
            if (Text(part) is { } plain) text.Append(plain);
            if (part is not JsonObject member) continue;
            if (member["thinking"] is JsonArray thoughts) Collect(thoughts, thinking, thinking);
            else if (Text(member["thinking"]) is { } thought) thinking.Append(thought);
            else if (member["text"] is JsonObject inner) text.Append(Text(inner["value"]));
            else text.Append(Text(member["text"]) ?? Text(member["content"]));
        }
    }

    private static bool StreamCalls(JsonObject delta, Choice choice)
    {
        if (!delta.TryGetPropertyValue("tool_calls", out var node) || node is null) return false;
        var changed = false;
        if (node is not JsonArray calls)
        {
            delta.Remove("tool_calls");
            if (node is not JsonObject single) return true;
            delta["tool_calls"] = calls = [single];
            changed = true;
        }
        var count = calls.Count;
        var left = Keep(calls, (node, i) =>
        {
            if (node is not JsonObject call) return false;
            changed |= StreamCall(call, choice, i, count, out var held);
            return !held;
        });
        changed |= left;
        if (calls.Count > 0) return changed;
        delta.Remove("tool_calls");
        return true;
    }

    // Removes all unwanted items at once, because each single removal would move the rest of the list.
    private static bool Keep(JsonArray list, Func<JsonNode?, int, bool> isKept)
    {
        var kept = new List<JsonNode?>(list.Count);
        for (var i = 0; i < list.Count; i++)
        {
            if (isKept(list[i], i)) kept.Add(list[i]);
        }
        if (kept.Count == list.Count) return false;
        list.Clear();
        foreach (var node in kept) list.Add(node);
        return true;
    }

    private static bool StreamCall(JsonObject node, Choice choice, int position, int count, out bool held)
    {
        held = false;
        var changed = Wrap(node);
        var custom = node["custom"] is JsonObject;
        var (body, argumentsName) = custom ? ((JsonObject)node["custom"]!, "input") : ((JsonObject)node["function"]!, "arguments");
        changed |= Arguments(body, argumentsName, isWhole: false);
        var id = Text(node["id"]) is { Length: > 0 } given ? given : Number(node["id"])?.ToString(CultureInfo.InvariantCulture);
        var at = Number(node["index"]) is >= 0 and < 1024 and var number ? (int)number : (int?)null;
        var name = Text(body["name"]) is { Length: > 0 } named ? named : null;
        var arguments = Text(body[argumentsName]) ?? "";

        var call = choice.Match(id, at, name, arguments, position, count);
        var isNew = call is null;
        call ??= choice.Add(at);
        choice.IsRegular &= call.At == call.Position;
        choice.Current = call;
        choice.Name(call, id);
        var wasNamed = call.Name is not null;
        if (!wasNamed && name is null)
        {
            // A call starts when its name is known; earlier fragments wait.
            if (isNew) choice.WaitingCalls++;
            choice.IsRegular = false;
            call.Waiting.Append(arguments);
            call.Arguments.Append(arguments);
            call.IsCustom |= custom;
            held = true;
            return true;
        }
        call.Arguments.Append(arguments);
        if (!Is(node["index"], call.Position))
        {
            node["index"] = call.Position;
            changed = true;
        }
        if (!wasNamed)
        {
            if (!isNew) choice.WaitingCalls--;
            // Calls are numbered when they are shown: one that never gets a name leaves no gap.
            call.Position = choice.NamedCalls++;
            call.Name = name;
            changed |= Put(node, "index", call.Position);
            call.Id ??= $"call_{choice.Index}_{call.Position}";
            if (Text(node["id"]) != call.Id)
            {
                node["id"] = call.Id;
                changed = true;
            }
            if (Text(node["type"]) is not { Length: > 0 })
            {
                node["type"] = custom ? "custom" : "function";
                changed = true;
            }
            if (call.Waiting.Length > 0)
            {
                body[argumentsName] = call.Waiting + arguments;
                call.Waiting.Clear();
                changed = true;
            }
            else if (isNew && Text(body[argumentsName]) is null)
            {
                body[argumentsName] = "";
                changed = true;
            }
            return changed;
        }
        // Clients concatenate names and ids, or treat a second one as another call.
        if (name is not null) changed |= body.Remove("name");
        if (node["id"] is not null && Text(node["id"]) is not ("" or null)) changed |= node.Remove("id");
        return changed;
    }

    // Servers that leave the inner object out, and those that send it as text.
    private static bool Wrap(JsonObject node)
    {
        if (node["custom"] is JsonObject || node["function"] is JsonObject) return false;
        var body = new JsonObject();
        if (Text(node["function"]) is { } function) body["name"] = function;
        node.Remove("function");
        foreach (var name in (ReadOnlySpan<string>)["name", "arguments"])
        {
            if (!node.TryGetPropertyValue(name, out var value)) continue;
            node.Remove(name);
            body[name] = value;
        }
        node["function"] = body;
        return true;
    }

    private static bool Arguments(JsonObject body, string name, bool isWhole)
    {
        if (!body.TryGetPropertyValue(name, out var value))
        {
            if (!isWhole) return false;
            body[name] = "{}";
            return true;
        }
        if (value is JsonValue text && text.GetValueKind() == JsonValueKind.String)
        {
            if (!isWhole || text.GetValue<string>().Length > 0 || name != "arguments") return false;
            body[name] = "{}";
            return true;
        }
        body[name] = value is null ? (isWhole && name == "arguments" ? "{}" : "") : Plain(value);
        return true;
    }

    private bool StreamFinish(JsonObject node, Choice choice)
    {
        var word = Text(node["finish_reason"]);
        var meaning = FinishReasonTable.Of(word);
        if (meaning is FinishMeaning.None or FinishMeaning.Failed)
        {
            if (meaning == FinishMeaning.Failed) choice.FailedReason = word;
            if (node["finish_reason"] is null) return false;
            node["finish_reason"] = null;
            return true;
        }
        // A call without a name cannot be run: it is left out, as from a whole response.
        if (meter is not null) meter.SkippedEvents += choice.WaitingCalls;
        choice.WaitingCalls = 0;
        var changed = false;
        if (meaning == FinishMeaning.ToolCalls && !choice.HasCalls) meaning = FinishMeaning.Stop;
        else if (meaning == FinishMeaning.Stop && choice.HasCalls) meaning = FinishMeaning.ToolCalls;
        choice.Reason = FinishReasonTable.Stronger(choice.Reason, meaning);
        var ours = word == "function_call" && choice.Reason == FinishMeaning.ToolCalls ? word : FinishReasonTable.OpenAi(choice.Reason);
        if (word == ours) return changed;
        node["finish_reason"] = ours;
        return true;
    }

    private bool Whole(JsonObject root)
    {
        var changed = Envelope(root, isChat ? "chat.completion" : "text_completion");
        if (root["choices"] is JsonObject one)
        {
            root.Remove("choices");
            root["choices"] = new JsonArray(one);
            changed = true;
        }
        if (root["choices"] is not JsonArray choices) return changed;
        for (var i = 0; i < choices.Count; i++)
        {
            if (choices[i] is not JsonObject choice) continue;
            changed |= Index(choice, i, out var index);
            var called = false;
            if (isChat)
            {
                if (choice["message"] is not JsonObject message)
                {
                    // Another name, or the member where a text completion has its text.
                    var delta = choice["delta"] as JsonObject
                        ?? (Text(choice["text"]) is { } text ? new JsonObject { ["content"] = text } : null);
                    if (delta is null) continue;
                    choice.Remove("delta");
                    choice.Remove("text");
                    choice.Remove("message");
                    choice["message"] = message = delta;
                    changed = true;
                }
                changed |= Role(message, started: false) | Content(message, isWhole: true) | WholeCalls(message, index, out called);
            }
            else if (choice["message"] is JsonObject || choice["delta"] is JsonObject)
            {
                changed |= PlainText(choice);
            }
            var word = Text(choice["finish_reason"]);
            var meaning = FinishReasonTable.Of(word);
            // The reader of the event reports the failure.
            if (meaning == FinishMeaning.Failed) continue;
            if (meaning == FinishMeaning.None) meaning = FinishMeaning.Stop;
            if (meaning == FinishMeaning.ToolCalls && !called) meaning = FinishMeaning.Stop;
            else if (meaning == FinishMeaning.Stop && called) meaning = FinishMeaning.ToolCalls;
            var ours = word == "function_call" && called ? word : FinishReasonTable.OpenAi(meaning);
            if (word == ours) continue;
            choice["finish_reason"] = ours;
            changed = true;
        }
        return changed;
    }

    private bool WholeCalls(JsonObject message, int choice, out bool called)
    {
        called = false;
        var changed = false;
        if (message["function_call"] is JsonObject legacy)
        {
            called = true;
            changed |= Arguments(legacy, "arguments", isWhole: true);
        }
        if (message["tool_calls"] is JsonObject single)
        {
            message.Remove("tool_calls");
            message["tool_calls"] = new JsonArray(single);
            changed = true;
        }
        if (message["tool_calls"] is not JsonArray calls) return changed;
        var anyCall = false;
        var left = Keep(calls, (node, i) =>
        {
            if (node is not JsonObject call) return false;
            changed |= Wrap(call);
            var custom = call["custom"] as JsonObject;
            var body = custom ?? (JsonObject)call["function"]!;
            // A call without a name cannot have a result.
            if (Text(body["name"]) is not { Length: > 0 })
            {
                if (meter is not null) meter.SkippedEvents++;
                return false;
            }
            anyCall = true;
            changed |= Arguments(body, custom is null ? "arguments" : "input", isWhole: true);
            if (Text(call["id"]) is not { Length: > 0 })
            {
                call["id"] = Number(call["id"])?.ToString(CultureInfo.InvariantCulture) ?? $"call_{choice}_{i}";
                changed = true;
            }
            if (Text(call["type"]) is not { Length: > 0 })
            {
                call["type"] = custom is null ? "function" : "custom";
                changed = true;
            }
            return true;
        });
        changed |= left;
        called |= anyCall;
        if (calls.Count == 0 && changed) message.Remove("tool_calls");
        return changed;
    }

    private sealed class Choice(int index)
    {
        private readonly Dictionary<string, Call> _byId = new(StringComparer.Ordinal);
        private readonly Dictionary<int, Call> _byIndex = [];

        public int Index { get; } = index;

        public bool Started { get; set; }

        public bool HasLegacyCall { get; set; }

        /// <summary>Whether the provider's call indexes equal ours.</summary>
        public bool IsRegular { get; set; } = true;

        public FinishMeaning Reason { get; set; }

        /// <summary>The finish reason by which the provider reported that it stopped early.</summary>
        public string? FailedReason { get; set; }

        public List<Call> Calls { get; } = [];

        /// <summary>The call that the last fragment belonged to.</summary>
        public Call? Current { get; set; }

        /// <summary>Calls whose name is known.</summary>
        public int NamedCalls { get; set; }

        /// <summary>Calls whose name is not known yet.</summary>
        public int WaitingCalls { get; set; }

        public bool HasCalls => HasLegacyCall || NamedCalls > 0;

        public bool HasWaitingCall => WaitingCalls > 0;

        public Call? Find(string id) => _byId.GetValueOrDefault(id);

        public Call Add(int? at)
        {
            var call = new Call(Calls.Count) { At = at };
            Calls.Add(call);
            if (at is { } place) _byIndex[place] = call;
            return call;
        }

        /// <summary>Gives the call an id where it has none.</summary>
        public void Name(Call call, string? id)
        {
            if (call.Id is not null || id is null) return;
            call.Id = id;
            _byId.TryAdd(id, call);
        }

        /// <summary>The call that a fragment continues; null when it starts a new one.</summary>
        public Call? Match(string? id, int? at, string? name, string arguments, int position, int count)
        {
            if (id is not null && Find(id) is { } same) return same;
            var placed = at is { } place ? _byIndex.GetValueOrDefault(place) : null;
            if (id is not null)
            {
                // A late id of the call at that index, or servers that create a new id for every fragment: without a name it is not a new
                // call. Without any index, a call continues until its arguments are complete.
                if (placed is null) return at is null && name is null && Current is { Name: not null, IsComplete: false } ? Current : null;
                return name is null ? placed : placed.Id is null && placed.Name is null ? placed : null;
            }
            if (at is not null && placed is null) return null;
            var open = placed ?? (count > 1 && name is null && position < Calls.Count
                ? Calls[Calls.Count - count + position < 0 ? position : Calls.Count - count + position]
                    : at is null && count > 1 && name is not null ? null
                    : Current);
            if (open is null || name is null || open.Name is null) return open;
            // A name again: the same call if it is only repeated, another one if the first is complete.
            return open.Name != name ? null : open.IsComplete ? null : open;
        }
    }

    private sealed class Call(int position)
    {
        public int Position { get; set; } = position;

        /// <summary>The provider's own index.</summary>
        public int? At { get; set; }

        public string? Id { get; set; }

        /// <summary>Null until it is known.</summary>
        public string? Name { get; set; }

        public bool IsCustom { get; set; }

        public StringBuilder Waiting { get; } = new();

        public StringBuilder Arguments { get; } = new();

        public bool HasUnseenArguments { get; set; }

        public bool IsComplete
        {
            get
            {
                if (HasUnseenArguments || Arguments.Length == 0) return false;
                try
                {
                    using var document = JsonDocument.Parse(Arguments.ToString());
                    return true;
                }
                catch (JsonException)
                {
                    return false;
                }
            }
        }
    }
}
