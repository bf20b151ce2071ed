using System.Text.Json;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Streaming;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// Finds the text in a <c>content_block_delta</c> of text, thinking or tool input. Signatures and citations are complete and stay
/// unchanged.
/// </summary>
internal static class MessagesDelta
{
    public static bool TryFind(ReadOnlySpan<byte> data, int kind, out DeltaShape shape)
    {
        shape = default;
        if (kind != MessagesEventKind.BlockDelta) return false;
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 256 });
            var found = false;
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return false;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("delta"u8))
                {
                    reader.Read();
                    if (found || reader.TokenType != JsonTokenType.StartObject || !Delta(ref reader, ref shape)) return false;
                    found = true;
                }
                else if (reader.ValueTextEquals("sequence_number"u8))
                {
                    // Added by another gateway.
                    if (!OpenAiDelta.Whole(ref reader, ref shape)) return false;
                }
                else
                {
                    reader.Read();
                    reader.Skip();
                }
            }
            return found;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    private static bool Delta(ref Utf8JsonReader reader, ref DeltaShape shape)
    {
        var (typed, texts) = (false, 0);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isText = reader.ValueTextEquals("text"u8) || reader.ValueTextEquals("thinking"u8)
                || reader.ValueTextEquals("partial_json"u8);
            var isType = !isText && reader.ValueTextEquals("type"u8);
            reader.Read();
            if (isText)
            {
                if (reader.TokenType != JsonTokenType.String || ++texts > 1
                    || !shape.TryAdd((int)reader.TokenStartIndex + 1, reader.ValueSpan.Length, HoleKind.Text))
                {
                    return false;
                }
                continue;
            }
            if (isType)
            {
                typed = reader.TokenType == JsonTokenType.String
                    && (reader.ValueTextEquals("text_delta"u8) || reader.ValueTextEquals("thinking_delta"u8)
                        || reader.ValueTextEquals("input_json_delta"u8));
            }
            reader.Skip();
        }
        return typed && texts == 1;
    }
}
