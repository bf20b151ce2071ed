namespace Fairlead.Policies.Matching;

/// <summary>
/// Addresses of e-mail: a local part of letters, digits and <c>._%+'&amp;-</c> (up to 64 characters), and a domain with a dot (up to 253),
/// also in other scripts.
/// </summary>
internal sealed class EmailMatcher : TextMatcher
{
    // RFC 5321, section 4.5.3.1, and RFC 1035, section 2.3.4.
    private const int LongestLocal = 64;
    private const int LongestDomain = 253;
    private const int LongestLabel = 63;

    public override int MaxHeld => LongestLocal + 1 + LongestDomain + 1;

    public override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        var searched = from;
        while (text[searched..].IndexOf('@') is >= 0 and var offset)
        {
            var at = searched + offset;
            var start = LocalStart(text, from, at);
            while (start < at && !char.IsLetterOrDigit(text[start]) && text[start] != '_') start++;
            searched = at + 1;
            if (start == at || text[at - 1] == '.') continue;
            var end = DomainEnd(text, at + 1, isFinal);
            if (end < 0) return MatchStep.Pending(start);
            if (end > 0) return MatchStep.Found(start, end - start);
        }
        if (isFinal) return MatchStep.None;
        var tail = LocalStart(text, searched, text.Length);
        return tail == text.Length ? MatchStep.None : MatchStep.Pending(tail);
    }

    private static int LocalStart(ReadOnlySpan<char> text, int from, int end)
    {
        var first = Math.Max(from, end - LongestLocal);
        while (end > first && IsLocal(text[end - 1])) end--;
        return end;
    }

    private static bool IsLocal(char c) => c < 0x80
        ? char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '%' or '+' or '-' or '\'' or '&'
        : c is >= '\u00C0' and < '\u0600' && char.IsLetter(c);

    /// <summary>End of the longest domain; 0 if there is none, -1 if the text ends too early.</summary>
    private static int DomainEnd(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        var end = 0;
        var limit = start + LongestDomain;
        var labels = 0;
        for (var label = start; ;)
        {
            var i = label;
            while (i < text.Length && i < limit && i - label <= LongestLabel && IsLabel(text[label], text[i])) i++;
            if (i == text.Length && i < limit && !isFinal) return -1;
            if (i >= limit) return end;
            var last = i;
            while (last > label && text[last - 1] == '-') last--;
            if (last == label || text[label] == '-' || i - label > LongestLabel) return end;
            labels++;
            if (labels > 1 && IsTopLevel(text[label..last])) end = last;
            if (last < i || i == text.Length || text[i] != '.') return end;
            label = i + 1;
            if (label == text.Length) return isFinal ? end : -1;
        }
    }

    // A label in Latin letters ends where another script starts: there need not be a space.
    private static bool IsLabel(char first, char c) => first < 0x80 || first < '\u0250'
        ? char.IsAsciiLetterOrDigit(c) || c == '-' || (c is >= '\u00C0' and < '\u0250' && char.IsLetter(c))
        : c == '-' || Letters.Joins(c) || Letters.IsUnspaced(c);

    private static bool IsTopLevel(ReadOnlySpan<char> label)
    {
        if (label.Length < 2) return false;
        if (label.StartsWith("xn--", StringComparison.OrdinalIgnoreCase)) return true;
        foreach (var c in label)
        {
            if (!char.IsLetter(c)) return false;
        }
        return true;
    }
}
