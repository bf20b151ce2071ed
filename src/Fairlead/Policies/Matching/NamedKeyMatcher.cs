using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Keys without a prefix of their own, which follow their name: <c>aws_secret_access_key = …</c>, <c>AccountKey=…</c>. The match is the
/// key, without its name.
/// </summary>
internal sealed class NamedKeyMatcher : TextMatcher
{
    private const int MaxBetween = 8;

    private static readonly SearchValues<string> Names =
        SearchValues.Create([.. KeyForms.Named.Select(form => form.Prefix)], StringComparison.OrdinalIgnoreCase);

    private static readonly int LongestName = KeyForms.Named.Max(form => form.Prefix.Length);

    public override int MaxHeld => LongestName + MaxBetween + KeyForms.Named.Max(form => form.Longest) + 1;

    public override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        var searched = from;
        while (text[searched..].IndexOfAny(Names) is >= 0 and var offset)
        {
            var start = searched + offset;
            searched = start + 1;
            if (IsInWord(text, start)) continue;
            foreach (var form in KeyForms.Named)
            {
                if (!text[start..].StartsWith(form.Prefix, StringComparison.OrdinalIgnoreCase)) continue;
                var value = start + form.Prefix.Length;
                var limit = Math.Min(text.Length, value + MaxBetween);
                while (value < limit && text[value] is ' ' or '"' or '\'' or ':' or '=' or '>' or '\\' or '\t') value++;
                if (value == text.Length && !isFinal) return MatchStep.Pending(start);
                var length = (form with { Prefix = "" }).Measure(text, value, isFinal);
                if (length < 0) return MatchStep.Pending(start);
                if (length > 0) return MatchStep.Found(value, length);
            }
        }
        if (isFinal) return MatchStep.None;
        for (var start = Math.Max(searched, text.Length - LongestName + 1); start < text.Length; start++)
        {
            if (IsInWord(text, start)) continue;
            foreach (var form in KeyForms.Named)
            {
                if (form.Prefix.AsSpan().StartsWith(text[start..], StringComparison.OrdinalIgnoreCase)) return MatchStep.Pending(start);
            }
        }
        return MatchStep.None;
    }

    private static bool IsInWord(ReadOnlySpan<char> text, int at) => at > 0 && char.IsAsciiLetterOrDigit(text[at - 1]);
}
