using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>Keys of the known vendors: a prefix at the start of a word, then the characters and the length of that vendor's keys.</summary>
internal sealed class KnownKeyMatcher : CandidateMatcher
{
    // Up to 80 values are searched with vectors; the prefixes are more, their first three characters are not.
    private static readonly SearchValues<string> Starts =
        SearchValues.Create([.. KeyForms.All.Select(form => form.Prefix[..Math.Min(3, form.Prefix.Length)]).Distinct()], StringComparison.Ordinal);

    private static readonly KeyForm[]?[] ByFirst = Enumerable.Range(0, 128)
        .Select(first => KeyForms.All.Where(form => form.Prefix[0] == first).ToArray() is { Length: > 0 } forms ? forms : null).ToArray();

    private static readonly int LongestPrefix = KeyForms.All.Max(form => form.Prefix.Length);

    public override int MaxHeld => KeyForms.LongestToken + 4;

    protected override int FindCandidate(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        var found = from;
        while (true)
        {
            var offset = text[found..].IndexOfAny(Starts);
            if (offset < 0) break;
            found += offset;
            if (!IsInWord(text, found) && StartsKey(text[found..], isFinal)) return found;
            found++;
        }
        if (isFinal) return text.Length;
        // A beginning of a prefix at the end of the text.
        for (var start = Math.Max(from, text.Length - LongestPrefix + 1); start < text.Length; start++)
        {
            if (!IsInWord(text, start) && IsBeginning(text[start..])) return start;
        }
        return text.Length;
    }

    protected override int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        var (longest, needsMore) = (0, false);
        foreach (var form in ByFirst[text[start]]!)
        {
            if (text[start..].StartsWith(form.Prefix, StringComparison.Ordinal))
            {
                var length = form.Measure(text, start, isFinal);
                needsMore |= length < 0;
                if (length > 0 && form.Prefix == "eyJ" && !IsToken(text.Slice(start, length))) length = 0;
                longest = Math.Max(longest, length);
            }
            else if (!isFinal && form.Prefix.AsSpan().StartsWith(text[start..], StringComparison.Ordinal))
            {
                needsMore = true;
            }
        }
        return needsMore ? NeedsMore : longest;
    }

    private static bool IsInWord(ReadOnlySpan<char> text, int at) => at > 0 && char.IsAsciiLetterOrDigit(text[at - 1]);

    private static bool StartsKey(ReadOnlySpan<char> text, bool isFinal)
    {
        foreach (var form in ByFirst[text[0]]!)
        {
            if (text.StartsWith(form.Prefix, StringComparison.Ordinal)) return true;
        }
        return !isFinal && text.Length < LongestPrefix && IsBeginning(text);
    }

    private static bool IsBeginning(ReadOnlySpan<char> tail)
    {
        if (tail[0] >= 128 || ByFirst[tail[0]] is not { } forms) return false;
        foreach (var form in forms)
        {
            if (form.Prefix.AsSpan().StartsWith(tail, StringComparison.Ordinal)) return true;
        }
        return false;
    }

    // Header, claims and signature. The claims are JSON too.
    private static bool IsToken(ReadOnlySpan<char> text)
    {
        var first = text.IndexOf('.');
        if (first < 10) return false;
        var rest = text[(first + 1)..];
        return rest.StartsWith("eyJ", StringComparison.Ordinal) && rest.IndexOf('.') is > 10 and var second && rest.Length - second > 10;
    }
}
