using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Memory;
using Fairlead.TokenCounting;
using static Fairlead.Dialects.Quirks.QuirkJson;

namespace Fairlead.Dialects.Quirks;

/// <summary>
/// Converts what servers with OpenAI's Responses API send to what OpenAI itself sends. An event without a quirk keeps its bytes; one with a
/// quirk is rewritten. Missing events that a client needs are added: the start of an item, its first text, its end. One per stream; not
/// thread-safe.
/// </summary>
/// <param name="meter">Counts what is left out.</param>
/// <param name="memory">Counts what is kept of the response until its end; null counts nothing.</param>
internal sealed class ResponsesNormaliser(OutputMeter meter, MemoryLease? memory = null)
{
    private readonly List<Item> _items = [];
    private readonly Dictionary<string, Item> _byId = new(StringComparer.Ordinal);
    private readonly Dictionary<int, Item> _byIndex = [];
    private Item? _current;
    private List<(byte[] Name, byte[] Data)> _made = [];

    /// <summary>A whole body as OpenAI sends it; null without a quirk.</summary>
    public static byte[]? RepairWhole(ReadOnlySpan<byte> body, OutputMeter meter)
    {
        try
        {
            return Parse(body) is { } response && Text(response["object"]) is not ("response.compaction" or "error")
                && response["error"] is not JsonObject
                && ResponseItems.RepairWhole(response, () => meter.SkippedEvents++) ? Bytes(response) : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            // Duplicate members or strings that are not text: forwarded unchanged.
            return null;
        }
    }

    /// <summary>The events that replace one of the provider's; null if it is forwarded unchanged.</summary>
    public IReadOnlyList<(byte[] Name, byte[] Data)>? Normalise(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data)
    {
        try
        {
            var seen = Seen.Read(data);
            var type = seen.Type ?? (name.StartsWith("response."u8) ? Encoding.UTF8.GetString(name) : null);
            if (type is null || !type.StartsWith("response.", StringComparison.Ordinal)
                || (seen.Type is not null && IsKnownToPass(type, seen, data)))
            {
                return null;
            }
            if (Parse(data) is not { } root) return null;
            _made = [];
            var changed = seen.Type is null && Put(root, "type", type);
            if (Repair(type, root) is not { } repaired) return _made;
            changed |= repaired;
            if (!changed && _made.Count == 0) return null;
            _made.Add(([], changed ? Bytes(root) : data.ToArray()));
            return _made;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            // Unreadable: its scanner reports it.
            return null;
        }
    }

    // Whether the event is valid. Deltas are most of a stream and are not parsed into nodes.
    private bool IsKnownToPass(string type, in Seen seen, ReadOnlySpan<byte> data)
    {
        switch (type)
        {
            case "response.created" or "response.queued" or "response.in_progress" or "response.failed": return true;
            case "response.output_text.delta" or "response.refusal.delta":
                if (Of(seen) is not { IsOpen: true, Open: { } part } || seen.ContentIndex != part.Index
                    || part.IsRefusal != (type == "response.refusal.delta") || !seen.HasDelta)
                {
                    return false;
                }
                part.Text.AppendRaw(data.Slice(seen.DeltaStart, seen.DeltaLength));
                return true;
            case "response.function_call_arguments.delta" or "response.custom_tool_call_input.delta":
                if (Of(seen) is not { IsOpen: true, IsAnnounced: true } call || !ResponseItems.IsCall(call.Type) || !seen.HasDelta)
                {
                    return false;
                }
                call.Text.AppendRaw(data.Slice(seen.DeltaStart, seen.DeltaLength));
                return true;
            case "response.reasoning_summary_text.delta" or "response.reasoning_text.delta":
                if (Of(seen) is not { IsOpen: true, Type: ResponseItems.Reasoning } thought || !seen.HasDelta) return false;
                thought.Text.AppendRaw(data.Slice(seen.DeltaStart, seen.DeltaLength));
                return true;
            default: return false;
        }
    }

    // The item of an event that names it correctly.
    private Item? Of(in Seen seen) =>
        seen.ItemId is { } id && _byId.TryGetValue(id, out var item) && item.Index == seen.OutputIndex ? item : null;

    // Null if the event is left out; otherwise whether it was changed.
    private bool? Repair(string type, JsonObject root) => type switch
    {
        "response.output_item.added" => Added(root),
        "response.output_item.done" => Done(root),
        "response.output_text.delta" or "response.refusal.delta" => TextDelta(root, type == "response.refusal.delta"),
        "response.output_text.done" or "response.refusal.done" => TextDone(root, type == "response.refusal.done"),
        "response.content_part.added" => PartAdded(root),
        "response.content_part.done" => PartDone(root),
        "response.function_call_arguments.delta" => ArgumentsDelta(root, ResponseItems.FunctionCall),
        "response.custom_tool_call_input.delta" => ArgumentsDelta(root, ResponseItems.CustomCall),
        "response.function_call_arguments.done" => ArgumentsDone(root, ResponseItems.FunctionCall),
        "response.custom_tool_call_input.done" => ArgumentsDone(root, ResponseItems.CustomCall),
        "response.completed" or "response.incomplete" or "response.done" => Terminal(root, type),
        _ => Other(root, type),
    };

    private bool? Added(JsonObject root)
    {
        if (ItemIn(root) is not { } node) return null;
        var given = Number(root["output_index"]);
        var changed = ResponseItems.Repair(node, _items.Count, isDone: false);
        if (_byId.TryGetValue(Text(node["id"])!, out var same))
        {
            // A repeated start; or the same id for another item.
            if (same.IsOpen) return null;
            node["id"] = ResponseItems.MakeId(Text(node["type"]), _items.Count);
            changed = true;
        }
        var item = Open(node, given);
        changed |= Emptied(node, item);
        if (ResponseItems.IsNameless(node)) return null;
        item.IsAnnounced = true;
        return changed | Put(root, "output_index", item.Index);
    }

    // Content in the start event of an item arrives as deltas or at its end: clients would read it twice.
    private static bool Emptied(JsonObject node, Item item)
    {
        if (item.Type == ResponseItems.Message && node["content"] is JsonArray { Count: > 0 })
        {
            item.Given = (JsonObject)node.DeepClone();
            node["content"] = new JsonArray();
            return true;
        }
        if (!ResponseItems.IsCall(item.Type) || Text(node[ResponseItems.ArgumentsName(item.Type)]) is not { Length: > 0 }) return false;
        item.Given = (JsonObject)node.DeepClone();
        node[ResponseItems.ArgumentsName(item.Type)] = "";
        return true;
    }

    private Item Open(JsonObject node, long? place)
    {
        var item = new Item(_items.Count, Text(node["id"])!, Text(node["type"]) ?? "", memory) { Node = (JsonObject)node.DeepClone() };
        _items.Add(item);
        _byId[item.Id] = item;
        _byIndex[place is { } at and < int.MaxValue ? (int)at : item.Index] = item;
        return _current = item;
    }

    private void Announce(Item item)
    {
        if (item.IsAnnounced) return;
        item.IsAnnounced = true;
        var node = (JsonObject)item.Node.DeepClone();
        if (ResponseItems.IsCall(item.Type)) node[ResponseItems.ArgumentsName(item.Type)] = "";
        if (item.Type == ResponseItems.Message) node["content"] = new JsonArray();
        if (node.ContainsKey("status")) node["status"] = ResponseItems.InProgress;
        Make("response.output_item.added", new JsonObject { ["output_index"] = item.Index, ["item"] = node });
        if (ResponseItems.IsCall(item.Type) && !item.Text.IsEmpty) MakeArguments(item, item.Text.ToString());
    }

    private Item Made(string type, long? place, string? id)
    {
        var node = new JsonObject { ["type"] = type };
        if (id is { Length: > 0 } && !_byId.ContainsKey(id)) node["id"] = id;
        ResponseItems.Repair(node, _items.Count, isDone: false);
        return Open(node, place);
    }

    // The item of an event: by its id, by its index, or the open one.
    private Item? Find(JsonObject root, Func<Item, bool> fits)
    {
        if (Text(root["item_id"]) is { Length: > 0 } id && _byId.TryGetValue(id, out var named))
        {
            return fits(named) && named.IsOpen ? named : null;
        }
        if (Number(root["output_index"]) is { } place and < int.MaxValue && _byIndex.TryGetValue((int)place, out var placed)
            && placed.IsOpen && fits(placed))
        {
            return placed;
        }
        return _current is { IsOpen: true } current && fits(current) ? current : null;
    }

    private static bool SetPosition(JsonObject root, Item item, Part? part = null) =>
        Put(root, "item_id", item.Id) | Put(root, "output_index", item.Index) | (part is not null
            && Put(root, "content_index", part.Index));

    private Item Speaker(JsonObject root)
    {
        var item = Find(root, static item => item.Type == ResponseItems.Message)
            ?? Made(ResponseItems.Message, Number(root["output_index"]), Text(root["item_id"]));
        Announce(item);
        return item;
    }

    private Part PartOf(JsonObject root, Item item, bool isRefusal)
    {
        if (item.Open is { } open && open.IsRefusal == isRefusal && (Number(root["content_index"]) ?? open.Index) <= open.Index)
        {
            return open;
        }
        if (item.Open is { } other) End(item, other);
        var part = item.Add(isRefusal, memory);
        MakePart(item, part);
        return part;
    }

    private bool? TextDelta(JsonObject root, bool isRefusal)
    {
        var item = Speaker(root);
        var part = PartOf(root, item, isRefusal);
        var changed = Delta(root, out var text);
        part.Text.Append(text);
        return changed | SetPosition(root, item, part);
    }

    private static bool Delta(JsonObject root, out string text)
    {
        if (Text(root["delta"]) is { } given)
        {
            text = given;
            return false;
        }
        text = AsText(root["delta"] ?? root["text"]);
        root.Remove("text");
        root["delta"] = text;
        return true;
    }

    private bool? TextDone(JsonObject root, bool isRefusal)
    {
        // Its item has ended: the text was sent.
        if (Text(root["item_id"]) is { } id && _byId.TryGetValue(id, out var known) && !known.IsOpen) return null;
        var item = Speaker(root);
        if (item.Open is null && item.Parts.Count > 0 && Number(root["content_index"]) is { } at && at < item.Parts.Count
            && item.Parts[(int)at].TextDone)
        {
            return null;
        }
        var part = PartOf(root, item, isRefusal);
        if (part.TextDone) return null;
        var member = isRefusal ? "refusal" : "text";
        var changed = Text(root[member]) is null;
        var text = changed ? AsText(root[member]) : Text(root[member])!;
        if (part.Text.IsEmpty && text.Length > 0) MakeText(item, part, text);
        if (text.Length == 0 && !part.Text.IsEmpty) (text, changed) = (part.Text.ToString(), true);
        if (changed) root[member] = text;
        part.TextDone = true;
        return changed | SetPosition(root, item, part);
    }

    private bool? PartAdded(JsonObject root)
    {
        if (Text(root["item_id"]) is { } id && _byId.TryGetValue(id, out var known) && !known.IsOpen) return null;
        var item = Speaker(root);
        var changed = false;
        if (root["part"] is not JsonObject node)
        {
            root["part"] = node = new JsonObject();
            changed = true;
        }
        changed |= ResponseItems.Part(node);
        if (item.Open is { } open)
        {
            // Already started by an earlier event.
            if (Number(root["content_index"]) is not { } at || at <= open.Index) return null;
            End(item, open);
        }
        var isRefusal = Text(node["type"]) == "refusal";
        var part = item.Add(isRefusal, memory);
        if (Text(node[isRefusal ? "refusal" : "text"]) is { Length: > 0 } text)
        {
            part.Given = text;
            node[isRefusal ? "refusal" : "text"] = "";
            changed = true;
        }
        return changed | SetPosition(root, item, part);
    }

    private bool? PartDone(JsonObject root)
    {
        if (Text(root["item_id"]) is { } id && _byId.TryGetValue(id, out var known) && !known.IsOpen) return null;
        var item = Find(root, static item => item.Type == ResponseItems.Message);
        if (item?.Open is not { } part) return item is null && root["part"] is JsonObject ? PartDoneAlone(root) : null;
        var changed = false;
        if (root["part"] is not JsonObject node)
        {
            root["part"] = node = PartNode(part);
            changed = true;
        }
        changed |= ResponseItems.Part(node) | Fill(item, part, node);
        if (!part.TextDone) MakeTextDone(item, part);
        part.IsDone = true;
        return changed | SetPosition(root, item, part);
    }

    private bool? PartDoneAlone(JsonObject root)
    {
        Speaker(root);
        var node = (JsonObject)root["part"]!;
        ResponseItems.Part(node);
        PartOf(root, _current!, Text(node["type"]) == "refusal");
        return PartDone(root) is null ? null : true;
    }

    // A text that is only in the end event is sent before it; an end event without text gets the text that was sent.
    private bool Fill(Item item, Part part, JsonObject node)
    {
        var member = part.IsRefusal ? "refusal" : "text";
        var text = Text(node[member]) ?? "";
        if (part.Text.IsEmpty && (text.Length > 0 || part.Given is not null)) MakeText(item, part, text.Length > 0 ? text : part.Given!);
        return text.Length == 0 && !part.Text.IsEmpty && Put(node, member, part.Text.ToString());
    }

    private bool? ArgumentsDelta(JsonObject root, string type)
    {
        var item = Find(root, ResponseCalls(type)) ?? Made(type, Number(root["output_index"]), Text(root["item_id"]));
        var text = Text(root["delta"]) ?? AsArguments(root["delta"] ?? root[ResponseItems.ArgumentsName(type)]);
        Name(item, root);
        item.Text.Append(text);
        if (!item.IsAnnounced)
        {
            if (!item.IsNamed) return null;
            Announce(item);
            return null;
        }
        return Put(root, "delta", text) | SetPosition(root, item);
    }

    private static Func<Item, bool> ResponseCalls(string type) => item => item.Type == type;

    private static void Name(Item item, JsonObject root)
    {
        if (!item.IsNamed && Text(root["name"]) is { Length: > 0 } name) item.Node["name"] = name;
        if (Text(root["call_id"]) is { Length: > 0 } id && !item.IsAnnounced) item.Node["call_id"] = id;
    }

    private bool? ArgumentsDone(JsonObject root, string type)
    {
        if (Text(root["item_id"]) is { } id && _byId.TryGetValue(id, out var known) && !known.IsOpen) return null;
        var item = Find(root, ResponseCalls(type)) ?? Made(type, Number(root["output_index"]), Text(root["item_id"]));
        Name(item, root);
        var member = ResponseItems.ArgumentsName(type);
        var text = Text(root[member]) ?? AsArguments(root[member]);
        if (!item.IsAnnounced)
        {
            if (item.Text.IsEmpty) item.Text.Append(text);
            if (!item.IsNamed) return null;
            Announce(item);
        }
        else if (item.Text.IsEmpty && text.Length > 0)
        {
            item.Text.Append(text);
            MakeArguments(item, text);
        }
        if (item.ArgumentsDone) return null;
        item.ArgumentsDone = true;
        if (text.Length == 0) text = item.Text.IsEmpty && type == ResponseItems.FunctionCall ? "{}" : item.Text.ToString();
        return Put(root, member, text) | SetPosition(root, item);
    }

    private bool? Done(JsonObject root)
    {
        if (ItemIn(root) is not { } node) return null;
        var hadId = Text(node["id"]) is { Length: > 0 };
        var changed = ResponseItems.Repair(node, _items.Count, isDone: true);
        var type = Text(node["type"]) ?? "";
        Item? item = null;
        if (hadId && _byId.TryGetValue(Text(node["id"])!, out var same)) item = same;
        else if (Number(root["output_index"]) is { } place and < int.MaxValue && _byIndex.TryGetValue((int)place, out var placed)
            && placed.IsOpen && placed.Type == type)
        {
            item = placed;
        }
        else if (_current is { IsOpen: true } current && current.Type == type && (!hadId || root["output_index"] is null)) item = current;
        // Ended twice.
        if (item is { IsOpen: false }) return null;
        if (item is null)
        {
            item = Open(node, Number(root["output_index"]));
            changed = true;
        }
        changed |= Whole(item, node);
        if (!item.IsAnnounced)
        {
            // A client cannot run a call without a name.
            Drop(item);
            return null;
        }
        Keep(item, node);
        return changed | Put(root, "output_index", item.Index);
    }

    // Sends the content of a whole item that was not sent before, and adds what was sent to the item.
    private bool Whole(Item item, JsonObject node)
    {
        var changed = Put(node, "id", item.Id);
        if (ResponseItems.IsCall(item.Type))
        {
            var member = ResponseItems.ArgumentsName(item.Type);
            if (Text(node["name"]) is not { Length: > 0 } && Text(item.Node["name"]) is { Length: > 0 } known)
            {
                changed |= Put(node, "name", known);
            }
            if (item.IsAnnounced) changed |= Put(node, "call_id", Text(item.Node["call_id"])!);
            else if (item.Node != node && Text(node["name"]) is { Length: > 0 } name)
            {
                (item.Node["name"], item.Node["call_id"]) = (name, Text(node["call_id"]));
            }
            if (ResponseItems.IsNameless(node)) return changed;
            Announce(item);
            var text = Text(node[member])!;
            if (text is "" or "{}") text = item.Text.IsEmpty ? Text(item.Given?[member]) ?? text : item.Text.ToString();
            changed |= Put(node, member, text);
            if (item.Text.IsEmpty && text.Length > 0) MakeArguments(item, text);
            if (!item.ArgumentsDone) MakeArgumentsDone(item, text);
            return changed;
        }
        Announce(item);
        if (item.Type == ResponseItems.Reasoning) return changed | FillSummary(item, node);
        if (item.Type != ResponseItems.Message || node["content"] is not JsonArray parts) return changed;
        if (parts.Count == 0 && item.Parts.Count == 0 && item.Given?["content"] is JsonArray early)
        {
            foreach (var part in early) parts.Add(part!.DeepClone());
            changed |= parts.Count > 0;
        }
        for (var i = 0; i < Math.Max(parts.Count, item.Parts.Count); i++)
        {
            if (i >= parts.Count)
            {
                parts.Add(PartNode(item.Parts[i]));
                changed = true;
            }
            if (parts[i] is not JsonObject part || Text(part["type"]) is not ("output_text" or "refusal")) continue;
            if (i >= item.Parts.Count)
            {
                if (item.Open is { } open) End(item, open);
                MakePart(item, item.Add(Text(part["type"]) == "refusal", memory));
            }
            changed |= Fill(item, item.Parts[i], part);
            End(item, item.Parts[i]);
        }
        return changed;
    }

    private static bool FillSummary(Item item, JsonObject node)
    {
        if (item.Text.IsEmpty || node["summary"] is not JsonArray { Count: 0 } || node["content"] is JsonArray { Count: > 0 }) return false;
        node["summary"] = new JsonArray(new JsonObject { ["type"] = "summary_text", ["text"] = item.Text.ToString() });
        return true;
    }

    private void Keep(Item item, JsonObject node)
    {
        item.Close();
        if (_current == item) _current = null;
        item.Kept = Bytes(node);
        if (memory?.TryTake(item.Kept.Length) == false) throw new MemoryExhaustedException(MemoryBudget.Overloaded);
    }

    private void Drop(Item item)
    {
        item.Close();
        item.IsDropped = true;
        if (_current == item) _current = null;
        meter.SkippedEvents++;
    }

    private bool? Terminal(JsonObject root, string type)
    {
        var changed = false;
        if (root["response"] is not JsonObject response)
        {
            // The response is the event itself, or is missing.
            response = root.ContainsKey("output") || root.ContainsKey("status")
                ? (JsonObject)root.DeepClone()
                : new JsonObject { ["object"] = "response" };
            response.Remove("type");
            foreach (var name in root.Select(static member => member.Key).Where(static name => name != "type").ToList()) root.Remove(name);
            root["response"] = response;
            changed = true;
        }
        if (response["output"] is not JsonArray && _items.Count > 0)
        {
            response["output"] = new JsonArray();
            changed = true;
        }
        if (response["status"] is null && type != "response.done") changed |= Put(response, "status", type["response.".Length..]);
        changed |= ResponseItems.RepairWhole(response, () => meter.SkippedEvents++);
        if (response["output"] is not JsonArray output) return changed;
        changed |= Reconcile(output, Text(response["status"]) == ResponseItems.Incomplete);
        if (Text(response["status"]) is { } status and (ResponseItems.Completed or ResponseItems.Incomplete or "failed"))
        {
            changed |= Put(root, "type", "response." + status);
        }
        return changed;
    }

    // The last event contains exactly what was sent before it.
    private bool Reconcile(JsonArray output, bool isIncomplete)
    {
        var changed = false;
        var known = new Dictionary<string, JsonObject>(StringComparer.Ordinal);
        var strangers = new Queue<JsonObject>();
        foreach (var node in output.OfType<JsonObject>())
        {
            var id = Text(node["id"])!;
            if (_byId.ContainsKey(id)) known[id] = node;
            else strangers.Enqueue(node);
        }
        var whole = new List<JsonObject>(Math.Max(output.Count, _items.Count));
        foreach (var item in _items)
        {
            if (item.IsDropped) continue;
            if (!known.Remove(item.Id, out var node) && strangers.TryPeek(out var next) && Text(next["type"]) == item.Type)
            {
                node = strangers.Dequeue();
            }
            var isNew = node is null;
            node ??= item.Kept is { } kept ? Parse(kept)! : item.ToNode(isIncomplete);
            if (item.IsOpen)
            {
                Whole(item, node);
                if (!item.IsAnnounced)
                {
                    Drop(item);
                    continue;
                }
                Make("response.output_item.done", new JsonObject { ["output_index"] = item.Index, ["item"] = node.DeepClone() });
                item.Close();
                changed = true;
            }
            else if (!isNew)
            {
                changed |= Put(node, "id", item.Id);
                // A relay that leaves the text out of its last event.
                if (item.Type == ResponseItems.Message && item.HasText && node["content"] is JsonArray { Count: 0 })
                {
                    node = Parse(item.Kept)!;
                    changed = true;
                }
            }
            changed |= isNew;
            whole.Add(node);
        }
        foreach (var node in strangers)
        {
            // Never sent: clients that read events would miss it.
            var item = Open(node, null);
            Whole(item, node);
            Make("response.output_item.done", new JsonObject { ["output_index"] = item.Index, ["item"] = node.DeepClone() });
            item.Close();
            whole.Add(node);
            changed = true;
        }
        if (!changed && whole.Count == output.Count) return false;
        output.Clear();
        foreach (var node in whole) output.Add((JsonNode)node);
        return true;
    }

    // Events of thinking and of tools that the provider runs.
    private bool? Other(JsonObject root, string type)
    {
        if (!type.StartsWith("response.reasoning", StringComparison.Ordinal))
        {
            return _current is { IsOpen: true } current && type.Contains("_call", StringComparison.Ordinal)
                && (root["item_id"] is null || root["output_index"] is null) && SetPosition(root, current);
        }
        var item = Find(root, static item => item.Type == ResponseItems.Reasoning);
        if (item is null)
        {
            if (!type.EndsWith(".delta", StringComparison.Ordinal)) return false;
            Announce(item = Made(ResponseItems.Reasoning, Number(root["output_index"]), Text(root["item_id"])));
        }
        var changed = SetPosition(root, item);
        if (!type.EndsWith(".delta", StringComparison.Ordinal)) return changed;
        changed |= Delta(root, out var text);
        item.Text.Append(text);
        return changed;
    }

    private static JsonObject? ItemIn(JsonObject root)
    {
        if (root["item"] is JsonObject item) return item;
        if (root["output_item"] is not JsonObject other) return null;
        root.Remove("output_item");
        root["item"] = other;
        return other;
    }

    private static JsonObject PartNode(Part part) => part.IsRefusal
        ? new JsonObject { ["type"] = "refusal", ["refusal"] = part.Text.ToString() }
        : new JsonObject { ["type"] = "output_text", ["text"] = part.Text.ToString(), ["annotations"] = new JsonArray() };

    private void End(Item item, Part part)
    {
        if (part.IsDone) return;
        if (part.Text.IsEmpty && part.Given is { } given) MakeText(item, part, given);
        if (!part.TextDone) MakeTextDone(item, part);
        Make("response.content_part.done", new JsonObject { ["item_id"] = item.Id, ["output_index"] = item.Index,
            ["content_index"] = part.Index, ["part"] = PartNode(part) });
        part.IsDone = true;
    }

    private void MakePart(Item item, Part part) =>
        Make("response.content_part.added", new JsonObject { ["item_id"] = item.Id, ["output_index"] = item.Index,
            ["content_index"] = part.Index, ["part"] = PartNode(part) });

    private void MakeText(Item item, Part part, string text)
    {
        part.Text.Append(text);
        Make(part.IsRefusal
            ? "response.refusal.delta"
            : "response.output_text.delta", new JsonObject { ["item_id"] = item.Id, ["output_index"] = item.Index,
                ["content_index"] = part.Index, ["delta"] = text });
    }

    private void MakeTextDone(Item item, Part part)
    {
        part.TextDone = true;
        Make(part.IsRefusal ? "response.refusal.done" : "response.output_text.done", new JsonObject
        {
            ["item_id"] = item.Id, ["output_index"] = item.Index, ["content_index"] = part.Index,
            [part.IsRefusal ? "refusal" : "text"] = part.Text.ToString(),
        });
    }

    private void MakeArguments(Item item, string text) =>
        Make(item.Type == ResponseItems.CustomCall
            ? "response.custom_tool_call_input.delta"
            : "response.function_call_arguments.delta",
            new JsonObject { ["item_id"] = item.Id, ["output_index"] = item.Index, ["delta"] = text });

    private void MakeArgumentsDone(Item item, string text)
    {
        item.ArgumentsDone = true;
        Make(item.Type == ResponseItems.CustomCall
            ? "response.custom_tool_call_input.done"
            : "response.function_call_arguments.done", new JsonObject
        {
            ["item_id"] = item.Id, ["output_index"] = item.Index, [ResponseItems.ArgumentsName(item.Type)] = text,
        });
    }

    private void Make(string type, JsonObject members)
    {
        members.Insert(0, "type", type);
        _made.Add(([], Bytes(members)));
    }

    private sealed class Item(int index, string id, string type, MemoryLease? memory)
    {
        public int Index { get; } = index;

        public string Id { get; } = id;

        public string Type { get; } = type;

        /// <summary>As in its start event.</summary>
        public required JsonObject Node { get; init; }

        /// <summary>Its content in the start event.</summary>
        public JsonObject? Given { get; set; }

        public bool IsOpen { get; private set; } = true;

        public bool IsAnnounced { get; set; }

        public bool IsDropped { get; set; }

        public bool ArgumentsDone { get; set; }

        /// <summary>Whether any text of it was sent.</summary>
        public bool HasText { get; private set; }

        /// <summary>The whole item as in its end event.</summary>
        public byte[]? Kept { get; set; }

        /// <summary>Arguments or thinking so far.</summary>
        public BufferedText Text { get; } = new(memory);

        public List<Part> Parts { get; } = [];

        public Part? Open => Parts.Count > 0 && !Parts[^1].IsDone ? Parts[^1] : null;

        public bool IsNamed => QuirkJson.Text(Node["name"]) is { Length: > 0 };

        public Part Add(bool isRefusal, MemoryLease? counted)
        {
            var part = new Part(Parts.Count, isRefusal, counted);
            Parts.Add(part);
            return part;
        }

        public void Close()
        {
            IsOpen = false;
            Text.Clear();
            foreach (var part in Parts)
            {
                HasText |= !part.Text.IsEmpty;
                part.Text.Clear();
            }
        }

        /// <summary>What was sent of it, for a provider that never sends its end.</summary>
        public JsonObject ToNode(bool isIncomplete)
        {
            var node = (JsonObject)Node.DeepClone();
            if (node.ContainsKey("status")) node["status"] = isIncomplete ? ResponseItems.Incomplete : ResponseItems.Completed;
            if (Type == ResponseItems.Message) node["content"] = new JsonArray([.. Parts.Select(PartNode)]);
            if (ResponseItems.IsCall(Type)) node[ResponseItems.ArgumentsName(Type)] = Text.ToString();
            ResponseItems.Repair(node, Index, isDone: true);
            return node;
        }
    }

    private sealed class Part(int index, bool isRefusal, MemoryLease? memory)
    {
        public int Index { get; } = index;

        public bool IsRefusal { get; } = isRefusal;

        public BufferedText Text { get; } = new(memory);

        /// <summary>Text in its start event.</summary>
        public string? Given { get; set; }

        public bool TextDone { get; set; }

        public bool IsDone { get; set; }
    }

    // The members that identify the item and part of an event.
    private ref struct Seen
    {
        public string? Type;
        public string? ItemId;
        public int OutputIndex;
        public int ContentIndex;
        public bool HasDelta;
        public int DeltaStart;
        public int DeltaLength;

        public static Seen Read(ReadOnlySpan<byte> data)
        {
            var seen = new Seen { OutputIndex = -1, ContentIndex = -1 };
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) throw new JsonException();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("type"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length > 0) seen.Type = reader.GetString();
                }
                else if (reader.ValueTextEquals("item_id"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.String) seen.ItemId = reader.GetString();
                }
                else if (reader.ValueTextEquals("output_index"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var index)) seen.OutputIndex = index;
                }
                else if (reader.ValueTextEquals("content_index"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var index)) seen.ContentIndex = index;
                }
                else if (reader.ValueTextEquals("delta"u8))
                {
                    reader.Read();
                    seen.HasDelta = reader.TokenType == JsonTokenType.String;
                    (seen.DeltaStart, seen.DeltaLength) = ((int)reader.TokenStartIndex + 1, reader.ValueSpan.Length);
                }
                else
                {
                    reader.Read();
                }
                reader.Skip();
            }
            return seen;
        }
    }
}
