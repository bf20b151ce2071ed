using System.Buffers.Text;
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

    /// <summary>Shorter base64 is checked as the text that it is.</summary>
    private const int ShortestFile = 16;

    /// <summary>The texts, in the order of the body.</summary>
    /// <param name="json">Valid JSON.</param>
    /// <exception cref="JsonException">It is not valid.</exception>
    public static List<ContentText> Read(ReadOnlySpan<byte> json)
    {
        var texts = new List<ContentText>();
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        var levels = new Stack<(string Name, bool IsList)>();
        var name = "";
        while (reader.Read())
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.PropertyName:
                    name = TextOf(ref reader);
                    break;
                case JsonTokenType.StartObject or JsonTokenType.StartArray:
                    var isList = reader.TokenType == JsonTokenType.StartArray;
                    // The items of a list have its name too, but it says nothing about objects among them.
                    var isNamed = levels.Count > 0 && !levels.Peek().IsList;
                    var isTop = levels.Count == 1;
                    if (isNamed && ContentFields.IsSetting(name, isTop))
                    {
                        reader.Skip();
                        break;
                    }
                    if (isNamed && ContentFields.IsFree(name, isTop, !isList))
                    {
                        AddAll(ref reader, json, texts);
                        break;
                    }
                    levels.Push((name, isList));
                    break;
                case JsonTokenType.EndObject or JsonTokenType.EndArray:
                    name = levels.Pop().Name;
                    break;
                case JsonTokenType.String when reader.ValueSpan.Length > 0:
                    Add(ref reader, name, texts);
                    break;
            }
        }
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

    private static void Add(ref Utf8JsonReader reader, string name, List<ContentText> texts)
    {
        if (ContentFields.IsSealed(name) || (reader.ValueSpan.Length <= ContentFields.LongestName && ContentFields.IsName(name))) return;
        var text = TextOf(ref reader);
        if (TryFile(reader, text, name, texts)) return;
        var isDocument = ContentFields.IsDocument(name) && text.AsSpan().TrimStart() is ['{' or '[', ..];
        texts.Add(At(reader, ContentForm.Text, text) with { Kind = isDocument ? ChannelKind.Json : ChannelKind.Text });
    }

    /// <summary>Adds a file in base64 if it is text. True for any file: nothing else is checked in it.</summary>
    private static bool TryFile(in Utf8JsonReader reader, string text, string name, List<ContentText> texts)
    {
        var start = 0;
        if (text.StartsWith("data:", StringComparison.OrdinalIgnoreCase))
        {
            var comma = text.IndexOf(',', StringComparison.Ordinal);
            if (comma < 0 || !text.AsSpan(0, comma).EndsWith(";base64", StringComparison.OrdinalIgnoreCase)) return false;
            start = comma + 1;
        }
        else if (name is not ("data" or "file_data" or "bytes" or "b64_json") || text.Length < ShortestFile)
        {
            return false;
        }
        if (!Base64.IsValid(text.AsSpan(start))) return false;
        var content = Convert.FromBase64String(text[start..]);
        if (IsText(content))
        {
            texts.Add(At(reader, ContentForm.File, Encoding.UTF8.GetString(content)) with { Prefix = text[..start] });
        }
        return true;
    }

    // Text has no control characters other than those of lines.
    private static bool IsText(ReadOnlySpan<byte> content) =>
        content.IndexOfAnyInRange((byte)0, (byte)8) < 0 && content.IndexOfAnyInRange((byte)14, (byte)26) < 0
        && System.Text.Unicode.Utf8.IsValid(content) && !content.StartsWith("%PDF-"u8);

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

    private static ContentText At(in Utf8JsonReader reader, ContentForm form, string value) =>
        new((int)reader.TokenStartIndex, reader.ValueSpan.Length + 2, form, value);
}
