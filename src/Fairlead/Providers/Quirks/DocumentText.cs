using System.Text.Json;

namespace Fairlead.Providers.Quirks;

/// <summary>Distinguishes events from documents by their bytes.</summary>
internal static class DocumentText
{
    /// <summary>Whether a body that was requested whole is a stream of server-sent events.</summary>
    public static bool IsEventStream(ReadOnlySpan<byte> body)
    {
        body = body.TrimStart("\uFEFF \t\r\n"u8);
        return body.StartsWith("data:"u8) || body.StartsWith("event:"u8) || body.StartsWith("id:"u8) || body.StartsWith("retry:"u8)
            || body.StartsWith(":"u8);
    }

    /// <summary>Whether a body that was requested whole has several objects, one per line, or a list of them.</summary>
    public static bool HoldsSeveral(ReadOnlyMemory<byte> body)
    {
        var start = body.Span.TrimStart(" \t\r\n"u8);
        // Between objects of one document there is a comma.
        return (start.StartsWith("["u8) || start.IndexOf("}\n{"u8) >= 0 || start.IndexOf("}\r\n{"u8) >= 0) && Split(body).Count > 0;
    }

    /// <summary>The objects of a body with several, in sequence or in one list. Empty when it has one, or is not JSON.</summary>
    public static IReadOnlyList<ReadOnlyMemory<byte>> Split(ReadOnlyMemory<byte> body)
    {
        var result = new List<ReadOnlyMemory<byte>>();
        try
        {
            var reader = new Utf8JsonReader(body.Span, new JsonReaderOptions { AllowMultipleValues = true, MaxDepth = 512 });
            if (!reader.Read()) return [];
            var inList = reader.TokenType == JsonTokenType.StartArray;
            if (inList && !reader.Read()) return [];
            do
            {
                if (reader.TokenType == JsonTokenType.EndArray) break;
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                result.Add(body[start..(int)reader.BytesConsumed]);
            }
            while (reader.Read());
            return result.Count > 1 || inList ? result : [];
        }
        catch (JsonException)
        {
            // The rest of a truncated list: complete objects count, and the reader reports the missing end.
            return result.Count > 1 ? result : [];
        }
    }
}
