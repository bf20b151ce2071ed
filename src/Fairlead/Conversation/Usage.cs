namespace Fairlead.Conversation;

/// <summary>Where a number comes from.</summary>
internal enum Basis
{
    /// <summary>The provider said it.</summary>
    Measured,

    /// <summary>Counted or guessed on this side.</summary>
    Estimated,
}

/// <summary>Tokens of one attempt or one call.</summary>
/// <param name="InputTokens">All input, cached reads and cache writes included.</param>
/// <param name="OutputTokens">All output, reasoning included.</param>
internal readonly record struct Usage(long InputTokens, long OutputTokens)
{
    /// <summary>Part of the input that was read from the provider's cache.</summary>
    public long CachedInputTokens { get; init; }

    /// <summary>Part of the input that was written to the provider's cache.</summary>
    public long CacheWriteTokens { get; init; }

    /// <summary>Part of <see cref="CacheWriteTokens"/> written for an hour, at a higher price.</summary>
    public long LongCacheWriteTokens { get; init; }

    /// <summary>
    /// Part of the input that was audio, and neither read from a cache nor written to one; some providers charge more for it.
    /// </summary>
    public long AudioInputTokens { get; init; }

    /// <summary>Part of the output that was reasoning.</summary>
    public long ReasoningTokens { get; init; }

    /// <summary>Part of the output that was audio, and not reasoning; some vendors charge more for it.</summary>
    public long AudioOutputTokens { get; init; }

    public Basis Basis { get; init; }

    public long TotalTokens => InputTokens + OutputTokens;

    /// <summary>
    /// More than any model takes or makes; a provider that reports more is broken, and sums of what it says must still fit.
    /// </summary>
    public const long MaxTokens = int.MaxValue;

    /// <summary>
    /// The same with every count between nothing and <see cref="MaxTokens"/>, and no part larger than what it is a part of.
    /// </summary>
    public Usage Bounded()
    {
        var input = Math.Clamp(InputTokens, 0, MaxTokens);
        var output = Math.Clamp(OutputTokens, 0, MaxTokens);
        var cached = Math.Clamp(CachedInputTokens, 0, input);
        var written = Math.Clamp(CacheWriteTokens, 0, input - cached);
        var reasoning = Math.Clamp(ReasoningTokens, 0, output);
        return new Usage(input, output)
        {
            CachedInputTokens = cached,
            CacheWriteTokens = written,
            LongCacheWriteTokens = Math.Clamp(LongCacheWriteTokens, 0, written),
            AudioInputTokens = Math.Clamp(AudioInputTokens, 0, input - cached - written),
            ReasoningTokens = reasoning,
            AudioOutputTokens = Math.Clamp(AudioOutputTokens, 0, output - reasoning),
            Basis = Basis,
        };
    }

    /// <summary>Sum of two; estimated when either is.</summary>
    public static Usage operator +(Usage left, Usage right) =>
        new(left.InputTokens + right.InputTokens, left.OutputTokens + right.OutputTokens)
    {
        CachedInputTokens = left.CachedInputTokens + right.CachedInputTokens,
        CacheWriteTokens = left.CacheWriteTokens + right.CacheWriteTokens,
        LongCacheWriteTokens = left.LongCacheWriteTokens + right.LongCacheWriteTokens,
        AudioInputTokens = left.AudioInputTokens + right.AudioInputTokens,
        ReasoningTokens = left.ReasoningTokens + right.ReasoningTokens,
        AudioOutputTokens = left.AudioOutputTokens + right.AudioOutputTokens,
        Basis = left.Basis == Basis.Estimated || right.Basis == Basis.Estimated ? Basis.Estimated : Basis.Measured,
    };

    public static Usage Add(Usage left, Usage right) => left + right;
}

/// <summary>Money of one attempt or one call.</summary>
/// <param name="Usd">US dollars, exact.</param>
/// <param name="Basis">Estimated when the usage it was computed from is.</param>
internal readonly record struct Cost(decimal Usd, Basis Basis);

internal static class BasisExtensions
{
    public static string ToWire(this Basis basis) => basis == Basis.Measured ? "measured" : "estimated";
}
