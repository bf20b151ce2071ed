namespace Fairlead.Policies.Matching;

/// <summary>What a matcher found from a position on.</summary>
internal enum MatchStatus
{
    /// <summary>No match, and no beginning of one, in the rest of the text.</summary>
    None,

    /// <summary>A match. The next search continues at its end.</summary>
    Found,

    /// <summary>No match before a position; from there on, the text may be the beginning of one.</summary>
    Pending,
}

/// <summary>The result of one search.</summary>
internal readonly record struct MatchStep(MatchStatus Status, int Start, int Length)
{
    public static readonly MatchStep None = new(MatchStatus.None, 0, 0);

    public static MatchStep Found(int start, int length) => new(MatchStatus.Found, start, length);

    public static MatchStep Pending(int start) => new(MatchStatus.Pending, start, 0);
}

/// <summary>
/// Finds matches in a text that may still grow. Every decision must depend only on characters that later text cannot change: a matcher that
/// reaches the end of the text before it can decide returns <see cref="MatchStatus.Pending"/>. This makes results independent of how a text
/// is divided. Work is linear in the length of the text. Immutable and thread-safe.
/// </summary>
internal abstract class TextMatcher
{
    /// <summary>Characters before the start of a search that stay in the buffer, for matchers that look at what comes before a match.</summary>
    public const int Context = 4;

    /// <summary>Maximum characters that can be pending.</summary>
    public abstract int MaxHeld { get; }

    /// <summary>Reads the text as written, not folded by <see cref="FoldedText"/>.</summary>
    public virtual bool ReadsOriginal => false;

    /// <summary>Finds the first match at or after a position.</summary>
    /// <param name="text">
    /// The text. Its start is the start of the whole text only if <paramref name="from"/> is less than <see cref="Context"/>.
    /// </param>
    /// <param name="from">Where the search starts: 0, the end of a match, or the start of what was pending.</param>
    /// <param name="isFinal">Nothing follows the text.</param>
    public abstract MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal);
}

/// <summary>A matcher that finds a possible start first and measures the match there.</summary>
internal abstract class CandidateMatcher : TextMatcher
{
    /// <summary>Result of <see cref="Measure"/>: the text ends before this can be decided.</summary>
    protected const int NeedsMore = -1;

    public sealed override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        while (true)
        {
            var start = FindCandidate(text, from, isFinal);
            if (start >= text.Length) return MatchStep.None;
            var length = Measure(text, start, isFinal);
            if (length > 0) return MatchStep.Found(start, length);
            if (length == NeedsMore) return MatchStep.Pending(start);
            from = start + 1;
        }
    }

    /// <summary>
    /// Returns the first position from <paramref name="from"/> on where a match could start, or the length of the text. A position is skipped
    /// only if no later text can make a match start there.
    /// </summary>
    protected abstract int FindCandidate(ReadOnlySpan<char> text, int from, bool isFinal);

    /// <summary>Returns the length of the match at a candidate, 0 if there is none, or <see cref="NeedsMore"/> (never if final).</summary>
    protected abstract int Measure(ReadOnlySpan<char> text, int start, bool isFinal);
}
