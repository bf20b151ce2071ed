using System.Buffers;
using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Memory;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.Quirks;

/// <summary>
/// Repairs characters that a provider split between two events: <c>"…\ud83d"</c>, then <c>"\ude00…"</c>. The first half waits for the next
/// fragment of the same text. A half without its other half becomes U+FFFD. Works on the JSON of every wire format. One per stream; not
/// thread-safe.
/// </summary>
/// <param name="memory">Counts what waits; null counts nothing.</param>
internal sealed class HalfCharacters(MemoryLease? memory = null)
{
    private const int EscapeLength = 6;

    private static readonly byte[] Replacement = "\\ufffd"u8.ToArray();

    private static readonly FrozenSet<string> TextNames = FrozenSet.ToFrozenSet(
        ["content", "text", "reasoning_content", "reasoning", "refusal", "arguments", "input", "partial_json", "thinking", "delta"],
        StringComparer.Ordinal);

    private static readonly FrozenSet<string> IndexNames =
        FrozenSet.ToFrozenSet(["index", "output_index", "content_index", "summary_index", "item_id"], StringComparer.Ordinal);

    private readonly Dictionary<string, Held> _held = new(StringComparer.Ordinal);

    /// <summary>Whether a first half waits.</summary>
    public bool IsHolding => _held.Count > 0;

    /// <summary>
    /// Offset of an escape that is half of a character without its other half, or -1. One fast search if there are no escapes.
    /// </summary>
    public static int FindLone(ReadOnlySpan<byte> json, int from = 0)
    {
        var at = from;
        while (at < json.Length)
        {
            var next = json[at..].IndexOf((byte)'\\');
            if (next < 0) return -1;
            at += next;
            var unit = UnitAt(json, at);
            if (unit < 0)
            {
                at += 2;
                continue;
            }
            if (unit is >= 0xD800 and <= 0xDBFF && UnitAt(json, at + EscapeLength) is >= 0xDC00 and <= 0xDFFF)
            {
                at += 2 * EscapeLength;
                continue;
            }
            if (unit is >= 0xD800 and <= 0xDFFF) return at;
            at += EscapeLength;
        }
        return -1;
    }

    /// <summary>A whole body with U+FFFD for every half and every byte that is not UTF-8; null if there is none of them.</summary>
    public static byte[]? RepairWhole(ReadOnlySpan<byte> json)
    {
        var valid = System.Text.Unicode.Utf8.IsValid(json);
        if (valid && FindLone(json) < 0) return null;
        var copy = valid ? json.ToArray() : WithoutInvalidBytes(json);
        for (var at = FindLone(copy); at >= 0; at = FindLone(copy, at)) Replacement.CopyTo(copy, at);
        return copy;
    }

    /// <summary>The text with U+FFFD for what is not UTF-8.</summary>
    public static byte[] WithoutInvalidBytes(ReadOnlySpan<byte> data) => Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(data));

    /// <summary>The event with whole characters only.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="data">Its data.</param>
    /// <param name="before">Events to read first: halves that never got their other half.</param>
    public byte[] Repair(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, out IReadOnlyList<(byte[] Name, byte[] Data)> before)
    {
        before = [];
        var strings = new List<Found>();
        var discriminator = new StringBuilder();
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            reader.Read();
            Walk(ref reader, "", "", strings, discriminator);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            if (IsHolding && IsEnd(data)) before = Flush();
            return data.ToArray();
        }
        var edits = new List<BodyEdit>();
        List<(string Key, byte[] Half, Found At)>? opened = null;
        var continued = false;
        var isWhole = IsWholeText(data);
        foreach (var found in strings)
        {
            var raw = data.Slice(found.Start, found.Length);
            var key = found.Path + discriminator;
            var from = 0;
            if (found.IsText && raw.Length > 0 && _held.Remove(key, out var held))
            {
                continued = true;
                memory?.Return(held.Bytes);
                var joins = UnitAt(raw, 0) is >= 0xDC00 and <= 0xDFFF;
                edits.Add(new BodyEdit(new ByteRange(found.Start, 0), joins ? held.Half : Replacement));
                if (joins) from = EscapeLength;
            }
            for (var at = FindLone(raw, from); at >= 0; at = FindLone(raw, at + EscapeLength))
            {
                var range = new ByteRange(found.Start + at, EscapeLength);
                if (found.IsText && !isWhole && at + EscapeLength == raw.Length && UnitAt(raw, at) < 0xDC00)
                {
                    edits.Add(new BodyEdit(range, default));
                    (opened ??= []).Add((key, raw.Slice(at, EscapeLength).ToArray(), found));
                }
                else
                {
                    edits.Add(new BodyEdit(range, Replacement));
                }
            }
        }
        if (IsHolding && !continued && IsEnd(data)) before = Flush();
        foreach (var (key, half, at) in opened ?? [])
        {
            var waiting = new Held(half, name.ToArray(), Template(data, strings, at));
            if (memory?.TryTake(waiting.Bytes) == false) throw new MemoryExhaustedException(MemoryBudget.Overloaded);
            if (_held.TryGetValue(key, out var replaced)) memory?.Return(replaced.Bytes);
            _held[key] = waiting;
        }
        return Edited(data, edits);
    }

    /// <summary>The events for halves without their other half. Nothing is held afterwards.</summary>
    public IReadOnlyList<(byte[] Name, byte[] Data)> Flush()
    {
        var events = _held.Values.Select(held => (held.Name, held.Template)).ToArray();
        foreach (var held in _held.Values) memory?.Return(held.Bytes);
        _held.Clear();
        return events;
    }

    private static byte[] Template(ReadOnlySpan<byte> data, List<Found> strings, Found half) => Edited(
        data, [.. strings.Where(s => s.IsText).Select(s =>
            new BodyEdit(new ByteRange(s.Start, s.Length), s == half ? Replacement : default))]);

    private static byte[] Edited(ReadOnlySpan<byte> data, List<BodyEdit> edits)
    {
        var output = new ArrayBufferWriter<byte>(data.Length + 16);
        BodySplicer.Write(data, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(edits), output);
        return output.WrittenSpan.ToArray();
    }

    // An event that repeats a text which came in fragments: nothing continues it.
    private static bool IsWholeText(ReadOnlySpan<byte> data) =>
        data.IndexOf(".done\""u8) >= 0 || data.IndexOf("\"response.completed\""u8) >= 0 || data.IndexOf("\"response.incomplete\""u8) >= 0
            || data.IndexOf("\"response.failed\""u8) >= 0;

    // An event that ends the text: a half must be delivered before it.
    private static bool IsEnd(ReadOnlySpan<byte> data) =>
        data.StartsWith("[DONE]"u8) || data.IndexOf("\"finish_reason\":\""u8) >= 0 || data.IndexOf("\"finish_reason\": \""u8) >= 0
            || data.IndexOf("\"finishReason\""u8) >= 0
        || data.IndexOf("content_block_stop"u8) >= 0 || data.IndexOf("message_delta"u8) >= 0 || data.IndexOf("message_stop"u8) >= 0
        || data.IndexOf(".done\""u8) >= 0 || data.IndexOf("response.completed"u8) >= 0 || data.IndexOf("response.incomplete"u8) >= 0
        || data.IndexOf("\"error\""u8) >= 0;

    private static void Walk(ref Utf8JsonReader reader, string path, string name, List<Found> strings, StringBuilder discriminator)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                {
                    var member = reader.ValueIsEscaped ? "?" : reader.GetString()!;
                    reader.Read();
                    if (IndexNames.Contains(member) && reader.TokenType is JsonTokenType.Number or JsonTokenType.String)
                    {
                        discriminator.Append('|').Append(Encoding.UTF8.GetString(reader.ValueSpan));
                    }
                    Walk(ref reader, $"{path}.{member}", member, strings, discriminator);
                }
                break;
            case JsonTokenType.StartArray:
                for (var i = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray; i++)
                {
                    Walk(ref reader, string.Create(CultureInfo.InvariantCulture, $"{path}[{i}]"), name, strings, discriminator);
                }
                break;
            case JsonTokenType.String:
                strings.Add(new Found(path, (int)reader.TokenStartIndex + 1, reader.ValueSpan.Length, TextNames.Contains(name)
                    && !path.Contains("logprobs", StringComparison.Ordinal)));
                break;
        }
    }

    // The UTF-16 unit of the escape at an offset; -1 if there is none.
    private static int UnitAt(ReadOnlySpan<byte> json, int at)
    {
        if (at < 0 || at + EscapeLength > json.Length || json[at] != (byte)'\\' || json[at + 1] != (byte)'u') return -1;
        var unit = 0;
        for (var i = at + 2; i < at + EscapeLength; i++)
        {
            if (!char.IsAsciiHexDigit((char)json[i])) return -1;
            unit = (unit << 4) | Convert.ToInt32(((char)json[i]).ToString(), 16);
        }
        return unit;
    }

    private sealed record Found(string Path, int Start, int Length, bool IsText);

    private sealed record Held(byte[] Half, byte[] Name, byte[] Template)
    {
        public int Bytes => Half.Length + Name.Length + Template.Length;
    }
}
