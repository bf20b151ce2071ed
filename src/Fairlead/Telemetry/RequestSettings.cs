using System.Diagnostics;
using System.Text.Json;

namespace Fairlead.Telemetry;

/// <summary>
/// Settings of a request that only a span needs, read from its body if there is one. Their names differ little between the dialects. The
/// conversation is not examined.
/// </summary>
internal static class RequestSettings
{
    /// <summary>A larger body is media, and not worth the time.</summary>
    private const int MaxBytes = 1024 * 1024;

    private const int MaxStops = 16;

    private const int LongestText = 256;

    public static void Tag(Activity span, ReadOnlySpan<byte> body)
    {
        if (body.Length is 0 or > MaxBytes) return;
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 256 });
        try
        {
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return;
            while (reader.Read())
            {
                // The end of `sampling`, in which the gateway's own dialect has them, or of the whole body.
                if (reader.TokenType == JsonTokenType.PropertyName) Member(span, ref reader);
            }
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException or FormatException)
        {
            // Not a valid request, and refused elsewhere.
        }
    }

    private static void Member(Activity span, ref Utf8JsonReader reader)
    {
        string? name = null;
        if (reader.ValueTextEquals("top_k"u8)) name = "gen_ai.request.top_k";
        else if (reader.ValueTextEquals("frequency_penalty"u8)) name = "gen_ai.request.frequency_penalty";
        else if (reader.ValueTextEquals("presence_penalty"u8)) name = "gen_ai.request.presence_penalty";
        var stops = reader.ValueTextEquals("stop"u8) || reader.ValueTextEquals("stop_sequences"u8);
        var tier = reader.ValueTextEquals("service_tier"u8);
        var sampling = reader.ValueTextEquals("sampling"u8);
        reader.Read();
        if (name is not null && reader.TokenType == JsonTokenType.Number) span.SetTag(name, reader.GetDouble());
        else if (tier && reader.TokenType == JsonTokenType.String) span.SetTag("openai.request.service_tier", Text(ref reader));
        else if (stops && reader.TokenType == JsonTokenType.String)
            span.SetTag("gen_ai.request.stop_sequences", new[] { Text(ref reader) });
        else if (stops && reader.TokenType == JsonTokenType.StartArray) span.SetTag("gen_ai.request.stop_sequences", Texts(ref reader));
        else if (!(sampling && reader.TokenType == JsonTokenType.StartObject)) reader.Skip();
    }

    private static string[] Texts(ref Utf8JsonReader reader)
    {
        var texts = new List<string>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType == JsonTokenType.String && texts.Count < MaxStops) texts.Add(Text(ref reader));
            else reader.Skip();
        }
        return [.. texts];
    }

    private static string Text(ref Utf8JsonReader reader)
    {
        var text = reader.GetString()!;
        return text.Length <= LongestText ? text : text[..LongestText];
    }
}
