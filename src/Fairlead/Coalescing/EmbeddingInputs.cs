using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>Where the inputs of an embeddings request are in its body. Valid for a body that its dialect has read without an error.</summary>
/// <param name="Items">One range for each input, in their order.</param>
/// <param name="Value">The whole value of <c>input</c>.</param>
/// <param name="EndUser">The value of <c>user</c>, quotes included; empty if there is none.</param>
internal sealed record EmbeddingInputs(IReadOnlyList<ByteRange> Items, ByteRange Value, ByteRange EndUser)
{
    /// <summary>Reads the body in one pass.</summary>
    public static EmbeddingInputs Read(ReadOnlySpan<byte> body)
    {
        var items = new List<ByteRange>();
        ByteRange value = default, user = default;
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 1024 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isInput = reader.ValueTextEquals("input"u8);
            var isUser = reader.ValueTextEquals("user"u8);
            reader.Read();
            if (isInput) value = ReadInput(ref reader, items);
            else if (isUser) user = Skip(ref reader);
            else reader.Skip();
        }
        return new EmbeddingInputs(items, value, user);
    }

    // A text or a list of token ids is one input, a list of texts or of lists of token ids is several.
    private static ByteRange ReadInput(ref Utf8JsonReader reader, List<ByteRange> items)
    {
        var start = (int)reader.TokenStartIndex;
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            var text = Skip(ref reader);
            items.Add(text);
            return text;
        }
        var isOne = false;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType == JsonTokenType.Number) isOne = true;
            else items.Add(Skip(ref reader));
        }
        var value = new ByteRange(start, (int)reader.BytesConsumed - start);
        if (isOne) items.Add(value);
        return value;
    }

    private static ByteRange Skip(ref Utf8JsonReader reader)
    {
        var start = (int)reader.TokenStartIndex;
        reader.Skip();
        return new ByteRange(start, (int)reader.BytesConsumed - start);
    }
}
