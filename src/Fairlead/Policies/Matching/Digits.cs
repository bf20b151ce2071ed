namespace Fairlead.Policies.Matching;

/// <summary>Finds where numbers start.</summary>
internal static class Digits
{
    /// <summary>
    /// Returns the first position from <paramref name="from"/> on where a group of digits starts: not inside of a word or of a number with a
    /// decimal point. Returns the length of the text if there is none.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="from">Where to start.</param>
    /// <param name="accepts">Whether the group may start with this digit.</param>
    public static int FindStart(ReadOnlySpan<char> text, int from, Func<char, bool> accepts)
    {
        while (true)
        {
            var offset = text[from..].IndexOfAnyInRange('0', '9');
            if (offset < 0) return text.Length;
            var start = from + offset;
            if (!Letters.JoinsBefore(text, start) && !Letters.IsInNumber(text, start) && accepts(text[start])) return start;
            from = EndOf(text, start);
        }
    }

    /// <summary>End of the digits that start at a position.</summary>
    public static int EndOf(ReadOnlySpan<char> text, int start) =>
        text[start..].IndexOfAnyExceptInRange('0', '9') is >= 0 and var length ? start + length : text.Length;
}
