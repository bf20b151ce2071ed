using System.Globalization;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Coalescing;

/// <summary>The vector of one input as its provider sent it, and what it cost to compute. Immutable.</summary>
/// <param name="Json">The object of the vector in the response.</param>
/// <param name="Envelope">The response without its vectors.</param>
/// <param name="Usage">The input's share of the usage.</param>
/// <param name="Source">The attempt that computed it.</param>
internal sealed record EmbeddingVector(byte[] Json, EmbeddingEnvelope Envelope, Usage Usage, Attempt Source)
{
    private readonly ByteRange _index = FindIndex(Json);

    /// <summary>Writes the object with another index.</summary>
    public void Write(PooledBuffer output, int index)
    {
        if (_index.IsEmpty)
        {
            output.Write(Json);
            return;
        }
        output.Write(Json.AsSpan(0, _index.Start));
        var digits = output.GetSpan(16);
        index.TryFormat(digits, out var written, default, CultureInfo.InvariantCulture);
        output.Advance(written);
        output.Write(Json.AsSpan(_index.End));
    }

    private static ByteRange FindIndex(byte[] json)
    {
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isIndex = reader.ValueTextEquals("index"u8);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            if (isIndex) return new ByteRange(start, (int)reader.BytesConsumed - start);
        }
        return default;
    }
}
