using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Coalescing;

/// <summary>
/// A provider's embeddings response without its vectors, so that responses with other vectors can be written in the same form. Immutable.
/// </summary>
internal sealed class EmbeddingEnvelope
{
    private readonly byte[] _json;
    private readonly int _dataAt;
    private readonly ByteRange _usage;

    private EmbeddingEnvelope(byte[] json, int dataAt, ByteRange usage)
    {
        _json = json;
        _dataAt = dataAt;
        _usage = usage;
    }

    /// <summary>Separates a response from its vectors.</summary>
    /// <param name="body">OpenAI's form, with one vector for each input, in their order.</param>
    /// <param name="vectors">Receives the range of each vector's object.</param>
    public static EmbeddingEnvelope Of(ReadOnlySpan<byte> body, List<ByteRange> vectors)
    {
        ByteRange usage = default, data = default;
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 1024 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isData = reader.ValueTextEquals("data"u8);
            var isUsage = reader.ValueTextEquals("usage"u8);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            if (isData && reader.TokenType == JsonTokenType.StartArray)
            {
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                {
                    var at = (int)reader.TokenStartIndex;
                    reader.Skip();
                    vectors.Add(new ByteRange(at, (int)reader.BytesConsumed - at));
                }
                data = new ByteRange(start + 1, (int)reader.TokenStartIndex - start - 1);
            }
            else
            {
                reader.Skip();
                if (isUsage) usage = new ByteRange(start, (int)reader.BytesConsumed - start);
            }
        }
        var json = new byte[body.Length - data.Length];
        body[..data.Start].CopyTo(json);
        body[data.End..].CopyTo(json.AsSpan(data.Start));
        if (!usage.IsEmpty && usage.Start > data.Start) usage = usage with { Start = usage.Start - data.Length };
        return new EmbeddingEnvelope(json, data.Start, usage);
    }

    /// <summary>A whole response with these vectors. The caller disposes it.</summary>
    /// <param name="vectors">In the order of the inputs.</param>
    /// <param name="tokens">Input tokens of all of them.</param>
    /// <param name="memory">Counts its memory; null for none.</param>
    public PooledBuffer With(IReadOnlyList<EmbeddingVector> vectors, long tokens, MemoryBudget? memory)
    {
        // It is paid for, so it is never refused.
        var length = _json.Length + 64;
        foreach (var vector in vectors) length += vector.Json.Length + 8;
        var output = new PooledBuffer(length, memory, neverRefused: true);
        output.Write(_json.AsSpan(0, Math.Min(_dataAt, FirstUsage())));
        if (!_usage.IsEmpty && _usage.Start < _dataAt)
        {
            EmbeddingsJson.WriteUsage(output, tokens);
            output.Write(_json.AsSpan(_usage.End.._dataAt));
        }
        for (var i = 0; i < vectors.Count; i++)
        {
            if (i > 0) output.Write(","u8);
            vectors[i].Write(output, i);
        }
        if (_usage.IsEmpty || _usage.Start < _dataAt)
        {
            output.Write(_json.AsSpan(_dataAt));
            return output;
        }
        output.Write(_json.AsSpan(_dataAt.._usage.Start));
        EmbeddingsJson.WriteUsage(output, tokens);
        output.Write(_json.AsSpan(_usage.End));
        return output;
    }

    private int FirstUsage() => _usage.IsEmpty ? int.MaxValue : _usage.Start;
}
