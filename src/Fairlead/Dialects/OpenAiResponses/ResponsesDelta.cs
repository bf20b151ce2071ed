using System.Text.Json;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Finds the text of a Responses delta event whose fragments are text: not audio, whose base64 cannot be joined.</summary>
internal static class ResponsesDelta
{
    public static bool TryFind(ReadOnlySpan<byte> data, int kind, out DeltaShape shape)
    {
        shape = default;
        if (kind != ResponsesEventKind.Other) return false;
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            var (typed, found) = (false, false);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return false;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("type"u8))
                {
                    reader.Read();
                    typed = reader.TokenType == JsonTokenType.String && IsText(ref reader);
                }
                else if (reader.ValueTextEquals("delta"u8))
                {
                    reader.Read();
                    if (found || reader.TokenType != JsonTokenType.String) return false;
                    found = shape.TryAdd((int)reader.TokenStartIndex + 1, reader.ValueSpan.Length, HoleKind.Text);
                }
                else if (reader.ValueTextEquals("logprobs"u8))
                {
                    reader.Read();
                    var start = (int)reader.TokenStartIndex + 1;
                    var isList = reader.TokenType == JsonTokenType.StartArray;
                    reader.Skip();
                    if (isList && !shape.TryAdd(start, (int)reader.BytesConsumed - 1 - start, HoleKind.List)) return false;
                }
                else if (reader.ValueTextEquals("sequence_number"u8) || reader.ValueTextEquals("obfuscation"u8))
                {
                    if (!OpenAiDelta.Whole(ref reader, ref shape)) return false;
                }
                else
                {
                    reader.Read();
                    reader.Skip();
                }
            }
            return typed && found;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    private static bool IsText(ref Utf8JsonReader reader) =>
        reader.ValueTextEquals("response.output_text.delta"u8)
        || reader.ValueTextEquals("response.refusal.delta"u8)
        || reader.ValueTextEquals("response.reasoning_text.delta"u8)
        || reader.ValueTextEquals("response.reasoning_summary_text.delta"u8)
        || reader.ValueTextEquals("response.function_call_arguments.delta"u8)
        || reader.ValueTextEquals("response.custom_tool_call_input.delta"u8)
        || reader.ValueTextEquals("response.mcp_call_arguments.delta"u8)
        || reader.ValueTextEquals("response.code_interpreter_call_code.delta"u8);
}
