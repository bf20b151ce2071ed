using Fairlead.Conversation;

namespace Fairlead.Providers.Simulated;

/// <summary>Vectors of length 1 in which texts with common words are near each other. Deterministic; pure.</summary>
internal static class SimulatedEmbeddings
{
    // Feature hashing: each word changes this many positions.
    private const int PositionsPerWord = 8;

    public static float[] Make(EmbeddingInput input, int dimensions, ulong seed)
    {
        var vector = new double[dimensions];
        if (input.Tokens is { } tokens)
        {
            foreach (var token in tokens) Mark(vector, SimulatedRandom.Mix(seed ^ (uint)token), 1);
        }
        else
        {
            var text = input.Text.AsSpan();
            Span<char> room = stackalloc char[64];
            foreach (var range in text.SplitAny(" \t\r\n.,;:!?()[]{}\"'"))
            {
                var word = text[range];
                if (word.IsEmpty) continue;
                var lower = word.Length <= room.Length ? room[..word.Length] : new char[word.Length];
                word.ToLowerInvariant(lower);
                Mark(vector, SimulatedRandom.Text(seed, lower), 1);
            }
            // Two texts with the same words in another order are near, not equal.
            Mark(vector, SimulatedRandom.Text(seed + 1, text), 0.25);
        }
        var length = Math.Sqrt(vector.Sum(v => v * v));
        if (length == 0) (vector[0], length) = (1, 1);
        return Array.ConvertAll(vector, v => (float)(v / length));
    }

    private static void Mark(double[] vector, ulong hash, double weight)
    {
        var random = new SimulatedRandom(hash);
        for (var i = 0; i < PositionsPerWord; i++)
        {
            var draw = random.Next();
            vector[(int)((draw >> 1) % (ulong)vector.Length)] += (draw & 1) == 0 ? weight : -weight;
        }
    }
}
