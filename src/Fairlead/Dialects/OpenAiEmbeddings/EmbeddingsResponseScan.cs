using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiEmbeddings;

/// <summary>Positions in a provider's embeddings response.</summary>
internal ref struct EmbeddingsResponseScan
{
    public bool HasData;
    public bool IsValid;
    public ByteRange Model;
    public string? ModelName;
    public UsageReport? Usage;

    /// <summary>Vectors that are not in the requested form, with that form.</summary>
    public List<BodyEdit>? Conversions;

    /// <param name="body">The whole response.</param>
    /// <param name="base64">The requested form, or null when vectors need no conversion.</param>
    public static EmbeddingsResponseScan Of(ReadOnlySpan<byte> body, bool? base64)
    {
        var scan = new EmbeddingsResponseScan { IsValid = true };
        try
        {
            var reader = new Utf8JsonReader(body);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return default;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("data"u8))
                {
                    reader.Read();
                    if (reader.TokenType != JsonTokenType.StartArray) return default;
                    scan.HasData = true;
                    while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) Item(ref reader, base64, ref scan);
                }
                else if (reader.ValueTextEquals("model"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.String)
                    {
                        scan.Model = RangeOf(reader);
                        scan.ModelName = reader.GetString();
                    }
                    else
                    {
                        reader.Skip();
                    }
                }
                else if (reader.ValueTextEquals("usage"u8))
                {
                    reader.Read();
                    if (reader.TokenType == JsonTokenType.StartObject) scan.Usage = UsageReport.Read(ref reader);
                    else reader.Skip();
                }
                else
                {
                    reader.Read();
                    reader.Skip();
                }
            }
            while (reader.Read())
            {
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return default;
        }
        scan.IsValid &= scan.HasData;
        return scan;
    }

    private static void Item(ref Utf8JsonReader reader, bool? base64, ref EmbeddingsResponseScan scan)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            scan.IsValid = false;
            reader.Skip();
            return;
        }
        var found = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isVector = reader.ValueTextEquals("embedding"u8);
            reader.Read();
            if (!isVector)
            {
                reader.Skip();
                continue;
            }
            found = (reader.TokenType == JsonTokenType.StartArray && !IsEmptyList(reader))
                || (reader.TokenType == JsonTokenType.String && !reader.ValueSpan.IsEmpty);
            if (!found || base64 is not { } wanted || reader.TokenType == JsonTokenType.String == wanted)
            {
                reader.Skip();
                continue;
            }
            var start = (int)reader.TokenStartIndex;
            if (EmbeddingVectors.Read(ref reader) is not { } vector)
            {
                scan.IsValid = false;
                continue;
            }
            (scan.Conversions ??= []).Add(new BodyEdit(
                new ByteRange(start, (int)reader.BytesConsumed - start),
                wanted ? EmbeddingVectors.ToBase64(vector) : EmbeddingVectors.ToList(vector)));
        }
        scan.IsValid &= found;
    }

    // On a copy of the reader.
    private static bool IsEmptyList(Utf8JsonReader reader) => reader.Read() && reader.TokenType == JsonTokenType.EndArray;

    private static ByteRange RangeOf(in Utf8JsonReader reader) =>
        new((int)reader.TokenStartIndex, (int)(reader.BytesConsumed - reader.TokenStartIndex));
}
