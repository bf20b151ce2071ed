using System.Buffers;
using System.Text;
using System.Text.Json;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;

namespace Fairlead.Policies.Checking;

/// <summary>
/// Gives one reader back what was redacted: it writes a response, whole or as events, with the originals in the place of their placeholders.
/// It is the last step before the connection, so that nothing that is kept has the originals.
/// </summary>
internal static class RestoredJson
{
    // Texts under these names are JSON documents in all dialects.
    private static readonly string[] Documents = ["arguments", "partial_json"];

    // Texts of the model, which are documents if the request asks for one.
    private static readonly string[] Texts = ["content", "text", "delta", "output_text", "refusal"];

    /// <param name="response">JSON, or lines of events with JSON as their data.</param>
    /// <param name="placeholders">What stands for what.</param>
    /// <param name="isDocument">Whether the text of the model is JSON.</param>
    /// <param name="output">Receives the response.</param>
    public static void Write(ReadOnlySpan<byte> response, Placeholders placeholders, bool isDocument, IBufferWriter<byte> output)
    {
        while (!response.IsEmpty)
        {
            var end = response.IndexOf((byte)'\n');
            var line = end < 0 ? response : response[..(end + 1)];
            response = response[line.Length..];
            // No line of another kind has a placeholder.
            var start = line.IndexOf((byte)'{');
            if (start < 0 || !HasPlaceholder(line[start..]) || !TryWrite(line, start, placeholders, isDocument, output)) output.Write(line);
        }
    }

    private static bool TryWrite(
        ReadOnlySpan<byte> line, int start, Placeholders placeholders, bool isDocument, IBufferWriter<byte> output)
    {
        var json = line[start..];
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 1024, AllowMultipleValues = true });
        using var restored = new PooledBuffer(line.Length + 256);
        var at = 0;
        var name = "";
        var isArguments = false;
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType == JsonTokenType.PropertyName)
                {
                    name = reader.ValueSpan.Length <= 32 ? ContentReader.TextOf(ref reader) : "";
                }
                if (reader.TokenType != JsonTokenType.String) continue;
                // The type of an event comes before its data.
                if (name == "type") isArguments = reader.ValueTextEquals("response.function_call_arguments.delta"u8);
                if (!HasPlaceholder(reader.ValueSpan)) continue;
                var text = ContentReader.TextOf(ref reader);
                var kind = Documents.Contains(name) || (isArguments && name == "delta") || (isDocument && Texts.Contains(name))
                    ? ChannelKind.Json : ChannelKind.Text;
                var original = placeholders.Restore(text, kind);
                if (original == text) continue;
                restored.Write(json[at..(int)reader.TokenStartIndex]);
                ContentWriter.Quoted(original, restored);
                at = (int)reader.TokenStartIndex + reader.ValueSpan.Length + 2;
            }
        }
        catch (JsonException)
        {
            return false;
        }
        output.Write(line[..start]);
        output.Write(restored.WrittenSpan);
        output.Write(json[at..]);
        return true;
    }

    // A bracket and a capital letter.
    private static bool HasPlaceholder(ReadOnlySpan<byte> text)
    {
        while (text.IndexOf((byte)'[') is >= 0 and var at && at + 1 < text.Length)
        {
            if (text[at + 1] is >= (byte)'A' and <= (byte)'Z') return true;
            text = text[(at + 1)..];
        }
        return false;
    }
}
