using System.Text;
using System.Text.Json;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;

namespace Fairlead.Policies.Checking;

/// <summary>
/// Finds the texts of a request, in every dialect, with one pass over its bytes: messages, instructions, reasoning, calls and results of
/// tools, definitions of tools, schemas, names and text of files, addresses, metadata and inputs of embeddings. Ids, settings, sealed
/// reasoning and binary media are no content.
/// </summary>
internal static class ContentReader
{
    private const int MaxDepth = 1024;

    /// <summary>The texts, in the order of the body.</summary>
    /// <param name="json">Valid JSON.</param>
    /// <exception cref="JsonException">It is not valid.</exception>
    public static List<ContentText> Read(ReadOnlySpan<byte> json)
    {
        var texts = new List<ContentText>();
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        var frames = new Stack<ContentFrame>();
        var frame = new ContentFrame("");
        var name = "";
        // Whether the name is that of the value itself, and not of a list around it.
        var isOwn = false;
        var lists = 0;
        while (reader.Read())
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.PropertyName:
                    name = TextOf(ref reader);
                    isOwn = true;
                    continue;
                case JsonTokenType.StartObject or JsonTokenType.StartArray:
                    var isArray = reader.TokenType == JsonTokenType.StartArray;
                    if (isOwn && ContentFields.IsSetting(name, frame.Name, frame.IsTop))
                    {
                        reader.Skip();
                        break;
                    }
                    if (isOwn && !isArray && ContentFields.IsFree(name, frame.IsTop))
                    {
                        AddAll(ref reader, json, texts);
                        break;
                    }
                    frames.Push(frame);
                    frame = new ContentFrame(name)
                    {
                        IsArray = isArray,
                        IsTop = frames.Count == 1,
                        IsUnknown = frame.IsUnknown || !ContentFields.IsKnown(name),
                        Number = isArray ? ++lists : frame.IsArray ? frame.Number : 0,
                    };
                    break;
                case JsonTokenType.EndObject or JsonTokenType.EndArray:
                    End(frame, texts);
                    name = (frame = frames.Pop()).Name;
                    break;
                case JsonTokenType.String when reader.ValueSpan.Length > 0:
                    Add(ref reader, name, isOwn, frame, texts);
                    break;
            }
            isOwn = false;
            if (frame.IsArray) name = frame.Name;
        }
        // A binary file has no text.
        texts.RemoveAll(static text => text.Length == 0);
        return texts;
    }

    private static void AddAll(ref Utf8JsonReader reader, ReadOnlySpan<byte> json, List<ContentText> texts)
    {
        var start = (int)reader.TokenStartIndex;
        reader.Skip();
        var length = (int)reader.BytesConsumed - start;
        if (length <= 2) return;
        texts.Add(new ContentText(start, length, ContentForm.Json, Encoding.UTF8.GetString(json.Slice(start, length)), ChannelKind.Json));
    }

    private static void Add(ref Utf8JsonReader reader, string name, bool isOwn, ContentFrame frame, List<ContentText> texts)
    {
        var isShort = reader.ValueSpan.Length <= ContentFields.LongestName;
        if (isOwn && isShort)
        {
            if (name == "type") frame.Type = TextOf(ref reader);
            else if (name is "media_type" or "mime_type" or "mediaType" or "mimeType") frame.MediaType = TextOf(ref reader);
        }
        if (isOwn && !frame.IsUnknown && (ContentFields.IsSealed(name) || (isShort && ContentFields.IsName(name, frame.Name, frame.IsTop)))) return;
        var value = TextOf(ref reader);
        var text = new ContentText((int)reader.TokenStartIndex, reader.ValueSpan.Length + 2, ContentForm.Text, value) { Kind = KindOf(name, value) };
        if (EncodedFile.IsPlace(name)) (frame.Files ??= []).Add((texts.Count, name));
        if (isOwn && name == "name") (frame.Names ??= []).Add(texts.Count);
        if (isOwn && name == "text" && text.Kind == ChannelKind.Text && frame.Number > 0) frame.PartText = texts.Count;
        texts.Add(text);
    }

    /// <summary>A text is read as JSON if it is a document. Arguments that a model wrote may end early.</summary>
    private static ChannelKind KindOf(string name, string value)
    {
        var start = value.AsSpan().TrimStart(" \t\r\n");
        if (start is not ['{' or '[', ..]) return ChannelKind.Text;
        return ContentFields.IsDocument(name) || IsJson(value) ? ChannelKind.Json : ChannelKind.Text;
    }

    private static bool IsJson(string value)
    {
        var bytes = System.Buffers.ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(value.Length));
        try
        {
            var reader = new Utf8JsonReader(bytes.AsSpan(0, Encoding.UTF8.GetBytes(value, bytes)), new JsonReaderOptions { MaxDepth = MaxDepth });
            while (reader.Read())
            {
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(bytes, clearArray: true);
        }
    }

    /// <summary>Decides what depends on several members of an object.</summary>
    private static void End(ContentFrame frame, List<ContentText> texts)
    {
        foreach (var (at, name) in frame.Files ?? []) texts[at] = EncodedFile.Read(texts[at], name, frame) ?? default;
        if (frame.Names is { } names && (ContentFields.IsToolObject(frame.Name) || ContentFields.IsToolType(frame.Type)))
        {
            foreach (var at in names) texts[at] = texts[at] with { IsFixed = true };
        }
        // The parts of one message.
        if (frame is { PartText: >= 0 and var part, Type: null or "text" or "input_text" or "output_text" })
            texts[part] = texts[part] with { Group = frame.Number };
    }

    /// <summary>The text of the string at the reader. Half of a surrogate pair, which is no character, becomes U+FFFD.</summary>
    internal static string TextOf(ref Utf8JsonReader reader)
    {
        if (!reader.ValueIsEscaped) return Encoding.UTF8.GetString(reader.ValueSpan);
        return JsonEscapes.FindLoneSurrogate(reader.ValueSpan) < 0 ? reader.GetString()! : Lenient(reader.ValueSpan);
    }

    private static string Lenient(ReadOnlySpan<byte> escaped)
    {
        var text = new StringBuilder(escaped.Length);
        while (!escaped.IsEmpty)
        {
            var next = escaped.IndexOf((byte)'\\');
            if (next < 0) next = escaped.Length;
            text.Append(Encoding.UTF8.GetString(escaped[..next]));
            escaped = escaped[next..];
            if (escaped.IsEmpty) break;
            if (escaped[1] == (byte)'u')
            {
                text.Append((char)JsonEscapes.CodeUnit(escaped, 0));
                escaped = escaped[6..];
                continue;
            }
            text.Append(escaped[1] switch
            {
                (byte)'n' => '\n',
                (byte)'r' => '\r',
                (byte)'t' => '\t',
                (byte)'b' => '\b',
                (byte)'f' => '\f',
                var letter => (char)letter,
            });
            escaped = escaped[2..];
        }
        // Both halves of a pair are one character; a half alone is none.
        return Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text.ToString()));
    }
}
