namespace Fairlead.Policies.Matching;

/// <summary>Addresses of IPv4: four numbers from 0 to 255 without leading zeros.</summary>
internal sealed class IpV4Matcher : CandidateMatcher
{
    public override int MaxHeld => 17;

    protected override int FindCandidate(ReadOnlySpan<char> text, int from, bool isFinal) => Digits.FindStart(text, from, static _ => true);

    protected override int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        var i = start;
        for (var part = 0; part < 4; part++)
        {
            if (part > 0)
            {
                if (i == text.Length) return isFinal ? 0 : NeedsMore;
                if (text[i++] != '.') return 0;
            }
            var (first, value) = (i, 0);
            for (; i < text.Length && char.IsAsciiDigit(text[i]); i++)
            {
                value = (value * 10) + (text[i] - '0');
                if (i - first == 3 || value > 255) return 0;
            }
            if (i > first + 1 && text[first] == '0') return 0;
            if (i == text.Length && (part < 3 || !isFinal)) return isFinal ? 0 : NeedsMore;
            if (i == first) return 0;
        }
        if (i == text.Length) return i - start;
        if (Letters.Joins(text[i])) return 0;
        if (text[i] != '.') return i - start;
        // A fifth number makes it something else.
        if (i + 1 == text.Length) return isFinal ? i - start : NeedsMore;
        return char.IsAsciiDigit(text[i + 1]) ? 0 : i - start;
    }
}
