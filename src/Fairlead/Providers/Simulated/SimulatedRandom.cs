using Fairlead.Conversation;

namespace Fairlead.Providers.Simulated;

/// <summary>Random numbers that are the same on every machine and in every version: SplitMix64. Not for secrets. Not thread-safe.</summary>
internal sealed class SimulatedRandom(ulong seed)
{
    private ulong _state = seed;

    /// <summary>A separate stream for one purpose, so that more draws for one purpose do not change another.</summary>
    public SimulatedRandom Fork(ulong purpose) => new(Mix(_state ^ Mix(purpose + 0x9E3779B97F4A7C15)));

    public ulong Next() => Mix(_state += 0x9E3779B97F4A7C15);

    /// <summary>At least 0, below <paramref name="bound"/>.</summary>
    public int Below(int bound) => (int)(Next() % (ulong)bound);

    /// <summary>At least 0, below 1.</summary>
    public double Fraction() => (Next() >> 11) * (1.0 / (1UL << 53));

    public T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    /// <summary>A log-normal value, like real response times.</summary>
    public double LogNormal(double median, double sigma) =>
        median * Math.Exp(sigma * Math.Sqrt(-2 * Math.Log(1 - Fraction())) * Math.Cos(2 * Math.PI * Fraction()));

    /// <summary>
    /// The seed of a response: everything in the request that affects a model's output, and the seeds of caller and provider.
    /// </summary>
    public static ulong SeedOf(ConversationRequest request, string model, long providerSeed)
    {
        var hash = Text(Mix((ulong)providerSeed), model);
        hash = Mix(hash ^ (ulong)(request.Sampling.Seed ?? 0));
        foreach (var message in request.Messages)
        {
            hash = Mix(hash ^ (ulong)message.Role);
            foreach (var part in message.Parts) hash = Of(hash, part);
        }
        foreach (var tool in request.Tools) hash = Text(hash, tool.Name);
        return hash;
    }

    public static ulong Text(ulong hash, ReadOnlySpan<char> text)
    {
        // FNV-1a over characters; string.GetHashCode differs from run to run.
        foreach (var c in text) hash = (hash ^ c) * 0x100000001B3;
        return Mix(hash ^ (ulong)text.Length);
    }

    private static ulong Media(ulong hash, MediaData media)
    {
        foreach (var c in media.Base64.Span) hash = (hash ^ c) * 0x100000001B3;
        return Mix(hash ^ (ulong)media.Length);
    }

    public static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    private static ulong Of(ulong hash, Part part) => part switch
    {
        TextPart text => Text(hash, text.Text),
        ToolCallPart call => Text(Text(hash, call.Name), call.Arguments),
        ToolResultPart result => result.Content.Aggregate(Mix(hash + 1), Of),
        ImagePart image => image.Url is null && image.Data is { } picture ? Media(hash, picture) : Text(hash, image.Url),
        AudioPart audio => Media(hash, audio.Data),
        FilePart { Text: null, Data: { } content } => Media(hash, content),
        FilePart file => Text(hash, file.Text ?? file.Url ?? file.FileId),
        _ => Mix(hash + 2),
    };
}
