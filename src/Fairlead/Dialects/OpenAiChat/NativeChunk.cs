using System.Buffers;
using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Finds members of a body or chunk at its top level. The text is one valid JSON object.</summary>
internal static class NativeChunk
{
    /// <summary>Position of the value of <c>model</c>; empty when it has no string value.</summary>
    public static ByteRange FindModel(ReadOnlySpan<byte> json) => Find(json, "model"u8, JsonTokenType.String);

    /// <summary>Position of the value of a member of the given type; empty when there is none.</summary>
    public static ByteRange Find(ReadOnlySpan<byte> json, ReadOnlySpan<byte> name, JsonTokenType type)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 512 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            // No known server escapes these names, and an escape may be invalid.
            var wanted = !reader.ValueIsEscaped && reader.ValueSpan.SequenceEqual(name);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            var found = wanted && reader.TokenType == type;
            reader.Skip();
            if (found) return new ByteRange(start, (int)reader.BytesConsumed - start);
        }
        return default;
    }

    /// <summary>The string value of a member, or null.</summary>
    public static string? Text(ReadOnlySpan<byte> json, ReadOnlySpan<byte> name)
    {
        var range = Find(json, name, JsonTokenType.String);
        if (range.IsEmpty) return null;
        var reader = new Utf8JsonReader(json.Slice(range.Start, range.Length));
        reader.Read();
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>The whole number of a member, or null.</summary>
    public static long? Number(ReadOnlySpan<byte> json, ReadOnlySpan<byte> name)
    {
        var range = Find(json, name, JsonTokenType.Number);
        if (range.IsEmpty) return null;
        var reader = new Utf8JsonReader(json.Slice(range.Start, range.Length));
        reader.Read();
        return reader.TryGetInt64(out var number) ? number : null;
    }

    /// <summary>
    /// Splits a chunk with content and a finish reason: the content without the reason, and the reason without the content. Other fields
    /// are in both.
    /// </summary>
    public static (byte[] Content, byte[] Finish) Split(ReadOnlySpan<byte> json)
    {
        var content = new List<BodyEdit>();
        var finish = new List<BodyEdit>();
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 512 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isUsage = reader.ValueTextEquals("usage"u8);
            var isChoices = reader.ValueTextEquals("choices"u8);
            reader.Read();
            if (isChoices && reader.TokenType == JsonTokenType.StartArray) SplitChoices(ref reader, content, finish);
            else if (isUsage && reader.TokenType == JsonTokenType.StartObject) content.Add(new BodyEdit(SkipOver(ref reader), Null));
            else reader.Skip();
        }
        return (Edited(json, content), Edited(json, finish));
    }

    /// <summary>Index of the first choice in a chunk; 0 where it has none.</summary>
    public static long ChoiceOf(ReadOnlySpan<byte> json)
    {
        var choices = Find(json, "choices"u8, JsonTokenType.StartArray);
        if (choices.IsEmpty) return 0;
        var reader = new Utf8JsonReader(json.Slice(choices.Start, choices.Length));
        reader.Read();
        return reader.Read() && reader.TokenType == JsonTokenType.StartObject
            ? Number(json.Slice(choices.Start + (int)reader.TokenStartIndex), "index"u8) ?? 0
            : 0;
    }

    private static readonly byte[] Null = "null"u8.ToArray();
    private static readonly byte[] EmptyObject = "{}"u8.ToArray();
    private static readonly byte[] EmptyText = "\"\""u8.ToArray();

    private static void SplitChoices(ref Utf8JsonReader reader, List<BodyEdit> content, List<BodyEdit> finish)
    {
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                reader.Skip();
                continue;
            }
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isReason = reader.ValueTextEquals("finish_reason"u8);
                var replacement = reader.ValueTextEquals("delta"u8) ? EmptyObject
                    : reader.ValueTextEquals("text"u8) ? EmptyText
                    : reader.ValueTextEquals("logprobs"u8) ? Null
                    : null;
                reader.Read();
                var range = SkipOver(ref reader);
                if (isReason) content.Add(new BodyEdit(range, Null));
                else if (replacement is not null) finish.Add(new BodyEdit(range, replacement));
            }
        }
    }

    private static ByteRange SkipOver(ref Utf8JsonReader reader)
    {
        var start = (int)reader.TokenStartIndex;
        reader.Skip();
        return new ByteRange(start, (int)reader.BytesConsumed - start);
    }

    private static byte[] Edited(ReadOnlySpan<byte> json, List<BodyEdit> edits)
    {
        var output = new ArrayBufferWriter<byte>(json.Length + 16);
        BodySplicer.Write(json, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(edits), output);
        return output.WrittenSpan.ToArray();
    }
}
