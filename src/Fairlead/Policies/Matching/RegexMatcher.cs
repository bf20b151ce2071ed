using System.Text;
using System.Text.RegularExpressions;

namespace Fairlead.Policies.Matching;

/// <summary>
/// A regular expression in a text that may still grow. A match starts where the expression matches at most
/// <c>longest</c> characters, judged on exactly those characters and the next one. So whether a match starts at a place is known
/// as soon as the text is that long, and later text does not change it.
/// </summary>
/// <remarks>
/// Inside of the text, the expression is matched together with one further character. Anchors at its end (<c>\z</c>, <c>\b</c>) see
/// the real next character that way, and not the end of what has arrived.
/// </remarks>
internal sealed partial class RegexMatcher : TextMatcher
{
    private const RegexOptions Options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant;

    // A search covers this much first, then twice as much each time, so that the work after a match stays small.
    private const int FirstBlock = 1024;
    private const int LargestBlock = 65_536;

    private readonly int _longest;
    private readonly Regex _atEnd;
    private readonly Regex _inside;

    /// <exception cref="ArgumentException">Not a regular expression.</exception>
    /// <exception cref="NotSupportedException">It cannot be matched in linear time.</exception>
    public RegexMatcher(string pattern, int longest)
    {
        _longest = longest;
        pattern = WithStrictEnds(pattern);
        _atEnd = new Regex(pattern, Options);
        _inside = new Regex($"(?:{pattern})(?s:.)", Options);
    }

    /// <summary>
    /// The pattern with <c>\z</c> for <c>$</c> and <c>\Z</c>. Those match before a last line feed too, so what has arrived would decide, and
    /// not the text. A pattern with the option <c>m</c> keeps <c>$</c>, which then looks at the next character only.
    /// </summary>
    private static string WithStrictEnds(string pattern)
    {
        var isMultiline = MultilineOption().IsMatch(pattern);
        var strict = new StringBuilder(pattern.Length + 8);
        var isInClass = false;
        for (var i = 0; i < pattern.Length; i++)
        {
            var letter = pattern[i];
            if (letter == '\\' && i + 1 < pattern.Length)
            {
                var next = pattern[++i];
                strict.Append(letter).Append(next == 'Z' && !isInClass ? 'z' : next);
                continue;
            }
            if (letter == '[' && !isInClass)
            {
                isInClass = true;
                strict.Append(letter);
                // A bracket that closes at once is a character of the class.
                if (i + 1 < pattern.Length && pattern[i + 1] == '^') strict.Append(pattern[++i]);
                if (i + 1 < pattern.Length && pattern[i + 1] == ']') strict.Append(pattern[++i]);
                continue;
            }
            if (letter == ']') isInClass = false;
            if (letter == '$' && !isInClass && !isMultiline) strict.Append(@"\z");
            else strict.Append(letter);
        }
        return strict.ToString();
    }

    [GeneratedRegex(@"\(\?[a-z]*m[a-z]*[-:)]", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex MultilineOption();

    public override int MaxHeld => _longest;

    public override bool ReadsOriginal => true;

    /// <summary>Whether the expression matches a text without characters.</summary>
    public bool MatchesNothing => _atEnd.IsMatch("");

    public override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        var block = Math.Max(FirstBlock, (2 * _longest) + 2);
        while (from < text.Length)
        {
            var end = text.Length - from > block ? from + block : text.Length;
            var isEnd = isFinal && end == text.Length;
            if (!TryFind(isEnd ? _atEnd : _inside, text[..end], from, out var start, out var length))
            {
                if (isEnd) return MatchStep.None;
                // Starts that still lack characters: at most the last ones.
                from = Math.Max(from, end - _longest);
                if (end == text.Length) return from == end ? MatchStep.None : MatchStep.Pending(from);
                block = Math.Min(block * 2, LargestBlock);
                continue;
            }
            var window = start + _longest + 1;
            if (window > text.Length)
            {
                if (!isFinal) return MatchStep.Pending(Math.Max(from, text.Length - _longest));
                if (isEnd && length > 0) return MatchStep.Found(start, length);
                if (!isEnd && TryFind(_atEnd, text, start, out var exact, out length) && exact == start && length > 0) return MatchStep.Found(start, length);
                from = start + 1;
                continue;
            }
            var fits = TryFind(_inside, text[..window], start, out var first, out length);
            if (fits && first == start && length > 1) return MatchStep.Found(start, length - 1);
            from = fits ? start + 1 : AfterTooLong(text, start, window);
            block = Math.Max(FirstBlock, (2 * _longest) + 2);
        }
        return MatchStep.None;
    }

    /// <summary>
    /// Every match that starts at <paramref name="start"/> or soon after it is too long. Returns the next place where one can fit: that many
    /// characters before the earliest end.
    /// </summary>
    private int AfterTooLong(ReadOnlySpan<char> text, int start, int window)
    {
        var (low, high) = (window, Math.Min(text.Length, window + _longest));
        if (!_inside.IsMatch(Slice(text[..high], start + 1, out var at), at)) return Math.Max(start + 1, high - _longest - 1);
        while (high - low > 1)
        {
            var middle = (low + high) / 2;
            if (_inside.IsMatch(Slice(text[..middle], start + 1, out at), at)) high = middle;
            else low = middle;
        }
        return Math.Max(start + 1, high - _longest - 1);
    }

    private static bool TryFind(Regex regex, ReadOnlySpan<char> text, int from, out int start, out int length)
    {
        foreach (var match in regex.EnumerateMatches(Slice(text, from, out var at), at))
        {
            start = match.Index + from - at;
            length = match.Length;
            return true;
        }
        (start, length) = (0, 0);
        return false;
    }

    // Anchors look at the character before a match.
    private static ReadOnlySpan<char> Slice(ReadOnlySpan<char> text, int from, out int at)
    {
        at = from < Context ? from : 1;
        return text[(from - at)..];
    }
}
