using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.TokenCounting;
using static Fairlead.Dialects.Quirks.QuirkJson;

namespace Fairlead.Dialects.Quirks;

/// <summary>
/// Converts events of servers with Anthropic's API to those that Anthropic itself sends, for the native and the translating path. An event
/// without a quirk keeps its bytes; missing starts and ends of blocks, which clients need, are added. One per stream; not thread-safe.
/// </summary>
/// <param name="meter">Counts what is left out.</param>
internal sealed class MessagesStreamNormaliser(OutputMeter meter)
{
    // By the provider's index.
    private readonly Dictionary<int, Block> _open = [];
    private Block? _current;
    private int _count;
    private bool _started;
    private string? _reason;
    private string? _sequence;
    private List<(byte[] Name, byte[] Data)> _made = [];

    /// <summary>The events that replace one of the provider's; null if it is forwarded unchanged.</summary>
    public IReadOnlyList<(byte[] Name, byte[] Data)>? Normalise(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data)
    {
        try
        {
            var seen = Seen.Read(data);
            var kind = MessagesEventKind.Of(seen.Type is null ? name : Encoding.UTF8.GetBytes(seen.Type));
            if (seen.Type is not null && IsKnownToPass(kind, seen)) return null;
            if (seen.Type is null && (kind == MessagesEventKind.Error || seen.HasError) || Parse(data) is not { } root) return null;
            _made = [];
            var changed = false;
            if (seen.Type is null)
            {
                if ((kind == MessagesEventKind.Unknown ? KindOf(root) : Encoding.UTF8.GetString(name)) is not { } type) return null;
                kind = MessagesEventKind.Of(Encoding.UTF8.GetBytes(type));
                root.Remove("type");
                root.Insert(0, "type", type);
                changed = true;
            }
            if (Repair(kind, root) is not { } repaired) return _made;
            changed |= repaired;
            if (!changed && _made.Count == 0) return null;
            _made.Add(([], changed ? Bytes(root) : data.ToArray()));
            return _made;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            // Unreadable: the reader of the event reports it.
            return null;
        }
    }

    private static string? KindOf(JsonObject root) =>
        root["message"] is JsonObject ? "message_start"
        : root["content_block"] is JsonObject ? "content_block_start"
        : root["delta"] is not JsonObject delta ? null
        : delta.ContainsKey("stop_reason") ? "message_delta"
        : DeltaType(delta) is null ? null : "content_block_delta";

    private bool IsKnownToPass(int kind, in Seen seen)
    {
        switch (kind)
        {
            case MessagesEventKind.BlockDelta:
                if (!_open.TryGetValue(seen.Index, out var block) || block.Index != seen.Index || block.IsLeftOut || !seen.HasInner)
                {
                    return false;
                }
                var fits = seen.InnerType switch
                {
                    "text_delta" => block.Type == "text" && seen.HasPiece,
                    "thinking_delta" => block.Type == "thinking" && seen.HasPiece,
                    "input_json_delta" => block.Type is not ("text" or "thinking") && seen.HasPiece,
                    null or "text" or "thinking" or "input_json" or "json_delta" => false,
                    _ => true,
                };
                if (!fits) return false;
                block.HasArguments |= seen.InnerType == "input_json_delta";
                _current = block;
                return true;
            case MessagesEventKind.BlockStop:
                if (!_open.TryGetValue(seen.Index, out var ended) || ended.Index != seen.Index || ended.IsLeftOut
                    || ended.Given is not null)
                {
                    return false;
                }
                Forget(ended);
                return true;
            case MessagesEventKind.MessageDelta or MessagesEventKind.BlockStart or MessagesEventKind.MessageStart: return false;
            case MessagesEventKind.MessageStop: return _open.Count == 0;
            default: return true;
        }
    }

    // Null if the event is left out; otherwise whether it was changed.
    private bool? Repair(int kind, JsonObject root) => kind switch
    {
        MessagesEventKind.MessageStart => Start(root),
        MessagesEventKind.BlockStart => BlockStart(root),
        MessagesEventKind.BlockDelta => BlockDelta(root),
        MessagesEventKind.BlockStop => BlockStop(root),
        MessagesEventKind.MessageDelta => MessageDelta(root),
        MessagesEventKind.MessageStop => CloseAll(),
        _ => false,
    };

    private bool? Start(JsonObject root)
    {
        // A relay that retried silently: the message continues.
        if (_started) return null;
        _started = true;
        var changed = false;
        if (root["message"] is not JsonObject message)
        {
            root["message"] = message = [];
            changed = true;
        }
        changed |= MessagesNormaliser.Frame(message);
        if (message["content"] is JsonArray { Count: 0 }) return changed;
        // Blocks have events of their own.
        var early = message["content"] as JsonArray;
        var text = early is null ? AsText(message["content"]) : "";
        message["content"] = new JsonArray();
        _made.Add(([], Bytes(root)));
        foreach (var block in text.Length > 0 ? [new JsonObject { ["type"] = "text", ["text"] = text }] : early?.OfType<JsonObject>() ?? [])
        {
            var start = new JsonObject { ["type"] = "content_block_start", ["content_block"] = block.DeepClone() };
            if (BlockStart(start) is not null) _made.Add(([], Bytes(start)));
            CloseAll();
        }
        return null;
    }

    private void EnsureStart()
    {
        if (_started) return;
        _started = true;
        var message = new JsonObject();
        MessagesNormaliser.Frame(message);
        Make("message_start", new JsonObject { ["message"] = message });
    }

    private bool? BlockStart(JsonObject root)
    {
        EnsureStart();
        var at = Number(root["index"]) is { } given and < int.MaxValue ? (int)given : (int?)null;
        // The same index again without an end: another block.
        if (at is { } again && _open.TryGetValue(again, out var same)) Close(same);
        var changed = false;
        if (root["content_block"] is not JsonObject node)
        {
            root["content_block"] = node = Text(root["content_block"]) is { } text
                ? new JsonObject { ["type"] = "text", ["text"] = text }
                : new JsonObject { ["type"] = "text", ["text"] = "" };
            changed = true;
        }
        var arguments = BlockInput(node, out var isCall);
        changed |= MessagesNormaliser.Block(node, _count);
        var type = Text(node["type"]) ?? "";
        var block = new Block(isCall && Text(node["name"]) is not { Length: > 0 } ? -1
            : _count, at ?? NextPosition(), type) { Given = arguments };
        _open[block.ProviderIndex] = block;
        _current = block;
        if (block.IsLeftOut)
        {
            // A client cannot run a call without a name.
            meter.SkippedEvents++;
            return null;
        }
        _count++;
        return changed | arguments is not null | Put(root, "index", block.Index);
    }

    // Arguments of a call arrive as deltas; those in its start event are sent at its end, unless deltas followed.
    private static string? BlockInput(JsonObject node, out bool isCall)
    {
        isCall = Text(node["type"]) == "tool_use" || (Text(node["type"]) is null && node.ContainsKey("input"));
        if (!isCall || node["input"] is null or JsonObject { Count: 0 }) return null;
        var text = AsArguments(node["input"]);
        node["input"] = new JsonObject();
        return text.Length == 0 ? null : text;
    }

    private int NextPosition()
    {
        var place = _count;
        while (_open.ContainsKey(place)) place++;
        return place;
    }

    private bool? BlockDelta(JsonObject root)
    {
        EnsureStart();
        var changed = false;
        if (root["delta"] is not JsonObject delta)
        {
            if (Text(root["delta"]) is not { } text) return null;
            root["delta"] = delta = new JsonObject { ["type"] = "text_delta", ["text"] = text };
            changed = true;
        }
        var type = DeltaType(delta);
        if (type is null) return false;
        changed |= Put(delta, "type", type);
        var (member, blockType) = type switch
        {
            "text_delta" => ("text", "text"),
            "thinking_delta" => ("thinking", "thinking"),
            "input_json_delta" => ("partial_json", "tool_use"),
            _ => (null, null),
        };
        if (member is not null && Text(delta[member]) is null)
        {
            delta[member] = member == "partial_json" ? AsArguments(delta[member]) : AsText(delta[member]);
            changed = true;
        }
        var at = Number(root["index"]) is { } given and < int.MaxValue ? (int)given : (int?)null;
        var block = at is { } place && _open.TryGetValue(place, out var known) ? known
            : _current is { } current && _open.ContainsKey(current.ProviderIndex) ? current
            : null;
        if (blockType is not null && block is not null && !Fits(block, blockType)) block = null;
        if (block is null)
        {
            // A call has its name in its start event: without one it cannot be run. Signatures and citations belong to a block that was
            // sent.
            if (blockType is null or "tool_use")
            {
                meter.SkippedEvents++;
                return null;
            }
            if (_current is { } other && _open.ContainsKey(other.ProviderIndex)) Close(other);
            block = Begin(blockType, at is { } free && !_open.ContainsKey(free) ? free : NextPosition());
        }
        _current = block;
        if (block.IsLeftOut) return null;
        block.HasArguments |= blockType == "tool_use";
        return changed | Put(root, "index", block.Index);
    }

    private static bool Fits(Block block, string blockType) =>
        blockType == "tool_use" ? block.Type is not ("text" or "thinking") : block.Type == blockType;

    private static string? DeltaType(JsonObject delta) => Text(delta["type"]) switch
    {
        "text" => "text_delta",
        "thinking" => "thinking_delta",
        "input_json" or "json_delta" => "input_json_delta",
        { Length: > 0 } type => type,
        _ => delta.ContainsKey("text") ? "text_delta"
            : delta.ContainsKey("partial_json") ? "input_json_delta"
            : delta.ContainsKey("thinking") ? "thinking_delta"
            : delta.ContainsKey("signature") ? "signature_delta"
            : null,
    };

    private Block Begin(string type, int place)
    {
        var block = new Block(_count++, place, type);
        _open[place] = block;
        Make("content_block_start", new JsonObject
        {
            ["index"] = block.Index, ["content_block"] = type == "text"
                ? new JsonObject { ["type"] = "text", ["text"] = "" }
                : new JsonObject { ["type"] = "thinking", ["thinking"] = "", ["signature"] = "" },
        });
        return block;
    }

    private bool? BlockStop(JsonObject root)
    {
        var at = Number(root["index"]) is { } given and < int.MaxValue ? (int)given : (int?)null;
        var block = at is { } place ? _open.GetValueOrDefault(place)
            : _current is { } current && _open.ContainsKey(current.ProviderIndex) ? current
            : null;
        // The end of a block that never started.
        if (block is null) return null;
        SendInitialArguments(block);
        Forget(block);
        if (block.IsLeftOut) return null;
        return Put(root, "index", block.Index);
    }

    private bool? MessageDelta(JsonObject root)
    {
        EnsureStart();
        CloseAll();
        var changed = false;
        if (root["delta"] is not JsonObject delta)
        {
            root["delta"] = delta = [];
            foreach (var name in (ReadOnlySpan<string>)["stop_reason", "stop_sequence"])
            {
                if (!root.TryGetPropertyValue(name, out var value)) continue;
                root.Remove(name);
                delta[name] = value;
            }
            changed = true;
        }
        var word = Text(delta["stop_reason"]);
        var (meaning, before) = (FinishReasonTable.Of(word), FinishReasonTable.Of(_reason));
        if (_reason is not null && before is not FinishMeaning.None && FinishReasonTable.Stronger(meaning, before) == before
            && meaning != before)
        {
            // The message has already ended: the more specific reason is kept.
            delta["stop_reason"] = _reason;
            delta["stop_sequence"] = _sequence;
            return true;
        }
        if (meaning != FinishMeaning.None) (_reason, _sequence) = (word, Text(delta["stop_sequence"]));
        return changed;
    }

    private bool CloseAll()
    {
        foreach (var block in _open.Values.OrderBy(static block => block.Index).ToList()) Close(block);
        return false;
    }

    private void Close(Block block)
    {
        SendInitialArguments(block);
        Forget(block);
        if (!block.IsLeftOut) Make("content_block_stop", new JsonObject { ["index"] = block.Index });
    }

    private void SendInitialArguments(Block block)
    {
        if (block.IsLeftOut || block.HasArguments || block.Given is not { } arguments) return;
        Make("content_block_delta", new JsonObject { ["index"] = block.Index,
            ["delta"] = new JsonObject { ["type"] = "input_json_delta", ["partial_json"] = arguments } });
    }

    private void Forget(Block block)
    {
        _open.Remove(block.ProviderIndex);
        if (_current == block) _current = null;
    }

    private void Make(string type, JsonObject members)
    {
        members.Insert(0, "type", type);
        _made.Add(([], Bytes(members)));
    }

    private sealed class Block(int index, int place, string type)
    {
        /// <summary>Its number for clients; negative for one that is left out.</summary>
        public int Index { get; } = index;

        /// <summary>The provider's number.</summary>
        public int ProviderIndex { get; } = place;

        public string Type { get; } = type;

        public bool IsLeftOut => Index < 0;

        /// <summary>Arguments in its start event.</summary>
        public string? Given { get; init; }

        public bool HasArguments { get; set; }
    }

    private ref struct Seen
    {
        public string? Type;
        public int Index;
        public string? InnerType;
        public bool HasInner;
        public bool HasPiece;
        public bool HasError;

        public static Seen Read(ReadOnlySpan<byte> data)
        {
            var seen = new Seen { Index = -1 };
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) throw new JsonException();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("type"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length > 0) seen.Type = reader.GetString();
                }
                else if (reader.ValueTextEquals("index"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var index)) seen.Index = index;
                }
                else if (reader.ValueTextEquals("delta"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.StartObject) ReadDelta(ref reader, ref seen);
                }
                else
                {
                    seen.HasError |= reader.ValueTextEquals("error"u8);
                    reader.Read();
                }
                reader.Skip();
            }
            return seen;
        }

        private static void ReadDelta(ref Utf8JsonReader reader, ref Seen seen)
        {
            seen.HasInner = true;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isType = reader.ValueTextEquals("type"u8);
                var isPiece = !isType && (reader.ValueTextEquals("text"u8) || reader.ValueTextEquals("partial_json"u8)
                    || reader.ValueTextEquals("thinking"u8));
                reader.Read();
                if (isType && reader.TokenType == JsonTokenType.String) seen.InnerType = reader.GetString();
                seen.HasPiece |= isPiece && reader.TokenType == JsonTokenType.String;
                reader.Skip();
            }
        }
    }
}
