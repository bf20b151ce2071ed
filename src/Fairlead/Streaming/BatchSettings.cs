namespace Fairlead.Streaming;

/// <summary>How many tokens of a stream are joined.</summary>
/// <param name="Tokens">Tokens per piece, 1 to 64; 1 joins nothing.</param>
/// <param name="Delay">Longest wait for them.</param>
internal readonly record struct BatchSettings(int Tokens, TimeSpan Delay)
{
    public const int MaxTokens = 64;

    public const int MaxDelayMs = 1000;
}
