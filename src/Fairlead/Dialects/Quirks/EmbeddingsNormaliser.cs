using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;

namespace Fairlead.Dialects.Quirks;

/// <summary>Sorts a provider's embeddings in the order of the inputs, which clients rely on.</summary>
internal static class EmbeddingsNormaliser
{
    /// <summary>
    /// The body in the order of the inputs, with indexes and OpenAI's envelope; null if it needs no repair or cannot be repaired.
    /// </summary>
    /// <param name="body">The provider's body.</param>
    /// <param name="count">Number of inputs.</param>
    /// <param name="vectors">Vectors in the body; -1 when it is not a list of vectors.</param>
    public static byte[]? Repair(ReadOnlySpan<byte> body, int count, out int vectors)
    {
        var indexes = new List<int>(count);
        vectors = Read(body, indexes, out var odd);
        if (vectors != count) return null;
        FillTheOneLeftOut(indexes);
        var ordered = true;
        var seen = new bool[count];
        var isPermutation = true;
        for (var i = 0; i < count; i++)
        {
            ordered &= indexes[i] == i;
            if (indexes[i] < 0 || indexes[i] >= count || seen[indexes[i]]) isPermutation = false;
            else seen[indexes[i]] = true;
        }
        if (ordered && !odd) return null;
        // Useless indexes, such as all 0: only the order on the wire is left.
        if (!isPermutation && indexes.Exists(static index => index > 0))
        {
            vectors = -1;
            return null;
        }
        try
        {
            if (JsonNode.Parse(body) is not JsonObject root || root["data"] is not JsonArray data) return null;
            var items = data.ToArray();
            data.Clear();
            for (var i = 0; i < count; i++)
            {
                var item = (JsonObject)items[isPermutation ? indexes.IndexOf(i) : i]!;
                item["index"] = i;
                data.Add((JsonNode)item);
            }
            var output = new ArrayBufferWriter<byte>(body.Length + 64);
            using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) root.WriteTo(json);
            return output.WrittenSpan.ToArray();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException
            or InvalidCastException)
        {
            return null;
        }
    }

    // A text or a fraction.
    private static int? Loose(in Utf8JsonReader reader) =>
        reader.TokenType is JsonTokenType.Number or JsonTokenType.String
            && double.TryParse(reader.ValueSpan, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            && number is >= 0 and < int.MaxValue ? (int)number : null;

    // Servers that omit zeros.
    private static void FillTheOneLeftOut(List<int> indexes)
    {
        var at = indexes.IndexOf(-1);
        if (at >= 0 && indexes.Count > 1 && indexes.LastIndexOf(-1) == at && !indexes.Contains(0)) indexes[at] = 0;
    }

    // Without an index in range: -1 instead.
    private static int Read(ReadOnlySpan<byte> body, List<int> indexes, out bool odd)
    {
        odd = false;
        try
        {
            var reader = new Utf8JsonReader(body);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return -1;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isData = reader.ValueTextEquals("data"u8);
                reader.Read();
                if (!isData || reader.TokenType != JsonTokenType.StartArray)
                {
                    reader.Skip();
                    continue;
                }
                var count = 0;
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                {
                    if (reader.TokenType != JsonTokenType.StartObject) return -1;
                    var index = -1;
                    while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                    {
                        var isIndex = reader.ValueTextEquals("index"u8);
                        reader.Read();
                        if (isIndex && reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var number)) index = number;
                        else if (isIndex && Loose(reader) is { } loose) (index, odd) = (loose, true);
                        reader.Skip();
                    }
                    odd |= index < 0;
                    indexes.Add(index);
                    count++;
                }
                return count;
            }
            return -1;
        }
        catch (JsonException)
        {
            return -1;
        }
    }
}
