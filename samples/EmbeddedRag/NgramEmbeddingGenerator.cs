using System.Globalization;
using System.Numerics;
using System.Text;
using Fairlead.Errors;
using Microsoft.Extensions.AI;

namespace EmbeddedRag;

/// <summary>
/// Embeds text without a model file: words and their three- to five-letter pieces are hashed into a vector (with a sign by hash, so that collisions cancel out rather
/// than add up), rare repetitions weigh more than many, and the vector is brought to length 1. Texts that share words or word stems point the same way.
/// Thread-safe.
/// </summary>
public sealed class NgramEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>
{
    public const int DefaultDimensions = 512;

    /// <summary>Words that say nothing of what a text is about.</summary>
    private static readonly HashSet<string> Stopwords = new(StringComparer.Ordinal)
    {
        "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "have", "how", "i", "in", "is", "it", "its", "me", "my", "of", "on", "or",
        "that", "the", "their", "there", "they", "this", "to", "was", "we", "what", "when", "where", "which", "who", "why", "will", "with", "you", "your",
    };

    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        var dimensions = options?.Dimensions ?? DefaultDimensions;
        if (dimensions is < 16 or > 4096)
        {
            // A refusal of our own: the caller gets this text, this code and this field in the shape of its dialect.
            throw new GatewayErrorException(GatewayError.Invalid("dimensions", "Vectors of this model have 16 to 4096 dimensions."));
        }
        var result = new GeneratedEmbeddings<Embedding<float>>();
        foreach (var value in values)
        {
            cancellationToken.ThrowIfCancellationRequested();
            result.Add(new Embedding<float>(Embed(value, dimensions)));
        }
        return Task.FromResult(result);
    }

    public float[] Embed(string text, int dimensions = DefaultDimensions)
    {
        var counts = new Dictionary<uint, float>();
        foreach (var word in Words(text))
        {
            // A whole word counts as much as a few of its pieces.
            Count(counts, word, 2f);
            var padded = $"<{word}>";
            for (var length = 3; length <= 5; length++)
            {
                for (var start = 0; start + length <= padded.Length; start++) Count(counts, padded.AsSpan(start, length), 0.5f);
            }
        }

        var vector = new float[dimensions];
        foreach (var (hash, count) in counts)
        {
            var sign = (hash & 1) == 0 ? 1f : -1f;
            vector[(hash >> 1) % (uint)dimensions] += sign * MathF.Log(1 + count);
        }

        var sum = 0f;
        foreach (var value in vector) sum += value * value;
        // A text without words still has a direction, so that no reader divides by zero.
        if (sum == 0) vector[0] = 1;
        else for (var i = 0; i < vector.Length; i++) vector[i] /= MathF.Sqrt(sum);
        return vector;
    }

    /// <summary>Cosine of two vectors of length 1.</summary>
    public static float Similarity(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        var sum = 0f;
        for (var i = 0; i < left.Length; i++) sum += left[i] * right[i];
        return sum;
    }

    public object? GetService(Type serviceType, object? serviceKey = null) =>
        serviceType == typeof(EmbeddingGeneratorMetadata) ? new EmbeddingGeneratorMetadata("harbour", defaultModelDimensions: DefaultDimensions) : null;

    public void Dispose()
    {
    }

    private static void Count(Dictionary<uint, float> counts, ReadOnlySpan<char> piece, float weight)
    {
        var hash = 2166136261u;
        foreach (var letter in piece) hash = (hash ^ letter) * 16777619u;
        // The lower bits of this hash are poor; one more round spreads them.
        hash ^= BitOperations.RotateRight(hash, 15);
        hash *= 2246822519u;
        counts[hash] = counts.GetValueOrDefault(hash) + weight;
    }

    private static IEnumerable<string> Words(string text)
    {
        var word = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            if (Rune.IsLetterOrDigit(rune))
            {
                word.Append(Rune.ToLower(rune, CultureInfo.InvariantCulture).ToString());
                // Longer ones are no words; pieces of a bounded length keep hostile input cheap.
                if (word.Length < 64) continue;
            }
            if (word.Length == 0) continue;
            var found = word.ToString();
            word.Clear();
            if (!Stopwords.Contains(found)) yield return found;
        }
        if (word.Length > 0 && word.ToString() is var last && !Stopwords.Contains(last)) yield return last;
    }
}
