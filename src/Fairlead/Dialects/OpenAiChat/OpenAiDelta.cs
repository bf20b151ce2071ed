using System.Text.Json;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// Finds the text of a chunk that only holds one fragment: one unfinished choice with one text, reasoning, refusal or
/// fragment of arguments.
/// </summary>
internal static class OpenAiDelta
{
    public static bool TryFind(ReadOnlySpan<byte> data, out DeltaShape shape)
    {
        shape = default;
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            var texts = 0;
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return false;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("choices"u8))
                {
                    reader.Read();
                    if (!Choices(ref reader, ref shape, ref texts)) return false;
                }
                // A running usage, padding against traffic analysis, the number of another gateway.
                else if (reader.ValueTextEquals("usage"u8) || reader.ValueTextEquals("obfuscation"u8)
                    || reader.ValueTextEquals("sequence_number"u8))
                {
                    if (!Whole(ref reader, ref shape)) return false;
                }
                else
                {
                    reader.Read();
                    reader.Skip();
                }
            }
            return texts == 1;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    private static bool Choices(ref Utf8JsonReader reader, ref DeltaShape shape, ref int texts)
    {
        if (reader.TokenType != JsonTokenType.StartArray || !reader.Read() || reader.TokenType != JsonTokenType.StartObject) return false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("delta"u8))
            {
                reader.Read();
                if (reader.TokenType != JsonTokenType.StartObject || !Delta(ref reader, ref shape, ref texts)) return false;
            }
            else if (reader.ValueTextEquals("text"u8))
            {
                reader.Read();
                if (!Text(ref reader, ref shape, ref texts)) return false;
            }
            else if (reader.ValueTextEquals("index"u8))
            {
                reader.Read();
                if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out var index)) return false;
                shape.Choice = index;
            }
            else if (reader.ValueTextEquals("logprobs"u8))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.StartObject && !Logprobs(ref reader, ref shape)) return false;
                if (reader.TokenType is not (JsonTokenType.Null or JsonTokenType.EndObject)) return false;
            }
            else
            {
                var isReason = reader.ValueTextEquals("finish_reason"u8);
                reader.Read();
                if (isReason && reader.TokenType != JsonTokenType.Null) return false;
                reader.Skip();
            }
        }
        // With a second choice it is not a single delta.
        return reader.Read() && reader.TokenType == JsonTokenType.EndArray;
    }

    private static bool Delta(ref Utf8JsonReader reader, ref DeltaShape shape, ref int texts)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("content"u8) || reader.ValueTextEquals("reasoning_content"u8)
                || reader.ValueTextEquals("reasoning"u8) || reader.ValueTextEquals("refusal"u8))
            {
                reader.Read();
                if (!Text(ref reader, ref shape, ref texts)) return false;
            }
            else if (reader.ValueTextEquals("tool_calls"u8))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.Null) continue;
                if (reader.TokenType != JsonTokenType.StartArray || !reader.Read()) return false;
                if (reader.TokenType == JsonTokenType.EndArray) continue;
                if (reader.TokenType != JsonTokenType.StartObject || !ToolCall(ref reader, ref shape, ref texts)) return false;
                if (!reader.Read() || reader.TokenType != JsonTokenType.EndArray) return false;
            }
            else if (reader.ValueTextEquals("function_call"u8))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.Null) continue;
                if (reader.TokenType != JsonTokenType.StartObject || !Arguments(ref reader, ref shape, ref texts)) return false;
            }
            else
            {
                // The role, and additions of newer servers: kept, and must be equal in both.
                reader.Read();
                reader.Skip();
            }
        }
        return true;
    }

    private static bool ToolCall(ref Utf8JsonReader reader, ref DeltaShape shape, ref int texts)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isCall = reader.ValueTextEquals("function"u8) || reader.ValueTextEquals("custom"u8);
            var isId = reader.ValueTextEquals("id"u8);
            reader.Read();
            if (isCall)
            {
                if (reader.TokenType != JsonTokenType.StartObject || !Arguments(ref reader, ref shape, ref texts)) return false;
                continue;
            }
            // The start of a call; two starts are two calls.
            if (isId && !IsEmpty(ref reader)) return false;
            reader.Skip();
        }
        return true;
    }

    private static bool Arguments(ref Utf8JsonReader reader, ref DeltaShape shape, ref int texts)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isText = reader.ValueTextEquals("arguments"u8) || reader.ValueTextEquals("input"u8);
            var isName = reader.ValueTextEquals("name"u8);
            reader.Read();
            if (isText)
            {
                if (!Text(ref reader, ref shape, ref texts)) return false;
                continue;
            }
            if (isName && !IsEmpty(ref reader)) return false;
            reader.Skip();
        }
        return true;
    }

    // An empty one, or null, beside the text of another kind stays unchanged.
    private static bool Text(ref Utf8JsonReader reader, ref DeltaShape shape, ref int texts)
    {
        if (IsEmpty(ref reader)) return true;
        return reader.TokenType == JsonTokenType.String && ++texts == 1
            && shape.TryAdd((int)reader.TokenStartIndex + 1, reader.ValueSpan.Length, HoleKind.Text);
    }

    private static bool IsEmpty(ref Utf8JsonReader reader) =>
        reader.TokenType == JsonTokenType.Null || (reader.TokenType == JsonTokenType.String && reader.ValueSpan.IsEmpty);

    private static bool Logprobs(ref Utf8JsonReader reader, ref DeltaShape shape)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            reader.Read();
            var start = (int)reader.TokenStartIndex + 1;
            var isList = reader.TokenType == JsonTokenType.StartArray;
            reader.Skip();
            if (isList && !shape.TryAdd(start, (int)reader.BytesConsumed - 1 - start, HoleKind.List)) return false;
        }
        return true;
    }

    /// <summary>A member whose last value wins; null stays unchanged.</summary>
    internal static bool Whole(ref Utf8JsonReader reader, ref DeltaShape shape)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null) return true;
        var start = (int)reader.TokenStartIndex;
        reader.Skip();
        return shape.TryAdd(start, (int)reader.BytesConsumed - start, HoleKind.Last);
    }
}
