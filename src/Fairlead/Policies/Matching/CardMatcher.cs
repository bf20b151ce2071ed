namespace Fairlead.Policies.Matching;

/// <summary>
/// Numbers of payment cards: the prefix and length of a brand, and a correct Luhn digit. Digits may be in groups of three or more, with one
/// space or dash between them.
/// </summary>
internal sealed class CardMatcher : CandidateMatcher
{
    private const int Shortest = 13;
    private const int Longest = 19;
    private const int ShortestGroup = 3;

    public override int MaxHeld => Longest + (Longest / ShortestGroup) + 1;

    protected override int FindCandidate(ReadOnlySpan<char> text, int from, bool isFinal) =>
        Digits.FindStart(text, from, static first => first is >= '2' and <= '6');

    protected override int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        Span<byte> digits = stackalloc byte[Longest];
        var (count, group, best) = (0, 0, 0);
        var separator = '\0';
        for (var i = start; ; i++)
        {
            if (i == text.Length)
            {
                if (!isFinal) return NeedsMore;
                return IsCard(digits[..count]) ? i - start : best;
            }
            var c = text[i];
            if (char.IsAsciiDigit(c))
            {
                if (count == Longest) return best;
                digits[count++] = (byte)(c - '0');
                group++;
                continue;
            }
            if (!Letters.Joins(c) && IsCard(digits[..count])) best = i - start;
            if (c is not (' ' or '-') || (separator != '\0' && separator != c) || group < ShortestGroup || count == Longest) return best;
            if (i + 1 == text.Length) return isFinal ? best : NeedsMore;
            if (!char.IsAsciiDigit(text[i + 1])) return best;
            separator = c;
            group = 0;
        }
    }

    private static bool IsCard(ReadOnlySpan<byte> digits) => digits.Length >= Shortest && IsBrand(digits) && Checksums.Luhn(digits);

    // Issuer ranges as the card networks publish them.
    private static bool IsBrand(ReadOnlySpan<byte> digits)
    {
        var length = digits.Length;
        var two = (digits[0] * 10) + digits[1];
        var four = (two * 100) + (digits[2] * 10) + digits[3];
        return four switch
        {
            >= 4000 and <= 4999 => length is 13 or 16 or 19,
            >= 3400 and <= 3499 or >= 3700 and <= 3799 => length is 15,
            >= 3000 and <= 3059 or 3095 or >= 3600 and <= 3699 or >= 3800 and <= 3999 => length is >= 14 and <= 19,
            >= 3528 and <= 3589 => length is >= 16 and <= 19,
            >= 2200 and <= 2204 => length is >= 16 and <= 19,
            >= 2221 and <= 2720 => length is 16,
            >= 5100 and <= 5599 => length is 16,
            // Maestro, Discover, UnionPay, RuPay and others.
            >= 5000 and <= 5099 or >= 5600 and <= 6999 => length is >= 13 and <= 19,
            _ => false,
        };
    }
}
