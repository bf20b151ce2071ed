namespace Fairlead.Policies.Matching;

/// <summary>
/// Text that looks like a placeholder but stands for nothing: without this, a reader would get the value of a placeholder where the text
/// only contained its letters.
/// </summary>
internal sealed class PlaceholderMatcher : TextMatcher
{
    public override int MaxHeld => PlaceholderText.Longest;

    public override bool ReadsOriginal => true;

    public override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        while (text[from..].IndexOf('[') is >= 0 and var offset)
        {
            var start = from + offset;
            var length = PlaceholderText.Measure(text[start..]);
            if (length > 0) return MatchStep.Found(start, length);
            if (length < 0 && !isFinal) return MatchStep.Pending(start);
            from = start + 1;
        }
        return MatchStep.None;
    }
}
