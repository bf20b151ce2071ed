using System.Collections.Frozen;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Account numbers by ISO 13616: the length of the country and a correct checksum (mod 97). Without separators, or with one space or dash after
/// every four characters.
/// </summary>
internal sealed class IbanMatcher : CandidateMatcher
{
    private const int Longest = 34;

    // Registry of IBANs, lengths by country.
    private static readonly FrozenDictionary<string, int> Lengths = (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 " +
        "FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 " +
        "MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 " +
        "SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30")
        .Split(' ').ToFrozenDictionary(entry => entry[..2], entry => int.Parse(entry.AsSpan(2), provider: null), StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenDictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> LengthOf =
        Lengths.GetAlternateLookup<ReadOnlySpan<char>>();

    private static readonly bool[] FirstLetters = FirstLettersOf();

    public override int MaxHeld => Longest + (Longest / 4) + 1;

    protected override int FindCandidate(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        // The two check digits are rarer than letters.
        for (var searched = from; ;)
        {
            var offset = text[searched..].IndexOfAnyInRange('0', '9');
            if (offset < 0) break;
            var digit = searched + offset;
            if (digit - 2 >= from && CouldStart(text, digit - 2)) return digit - 2;
            searched = Digits.EndOf(text, digit);
        }
        if (isFinal) return text.Length;
        for (var start = Math.Max(from, text.Length - 2); start < text.Length; start++)
        {
            if (CouldStart(text, start)) return start;
        }
        return text.Length;
    }

    protected override int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        if (start + 4 > text.Length) return isFinal ? 0 : NeedsMore;
        if (!char.IsAsciiDigit(text[start + 2]) || !char.IsAsciiDigit(text[start + 3])) return 0;
        var length = LengthOf[text.Slice(start, 2)];
        var (count, remainder, separator) = (0, 0, '\0');
        var i = start;
        for (; count < length; i++)
        {
            if (i == text.Length) return isFinal ? 0 : NeedsMore;
            var c = text[i];
            if (char.IsAsciiLetterOrDigit(c))
            {
                // With a separator, it stands after every four characters.
                if (separator != '\0' && count % 4 == 0 && text[i - 1] != separator) return 0;
                count++;
                if (count > 4) remainder = Append(remainder, c);
            }
            else if (c is ' ' or '-' && count % 4 == 0 && (separator == c || (separator == '\0' && count == 4)) && text[i - 1] != c)
            {
                separator = c;
            }
            else
            {
                return 0;
            }
        }
        if (i == text.Length && !isFinal) return NeedsMore;
        if (i < text.Length && Letters.Joins(text[i])) return 0;
        for (var k = 0; k < 4; k++) remainder = Append(remainder, text[start + k]);
        return remainder == 1 ? i - start : 0;
    }

    private static int Append(int remainder, char c) =>
        char.IsAsciiDigit(c) ? ((remainder * 10) + (c - '0')) % 97 : ((remainder * 100) + ((c | 0x20) - 'a') + 10) % 97;

    /// <summary>Whether a country's code, or its first letter at the end of the text, starts here.</summary>
    private static bool CouldStart(ReadOnlySpan<char> text, int start)
    {
        if (!char.IsAsciiLetter(text[start]) || Letters.JoinsBefore(text, start) || !FirstLetters[text[start] | 0x20]) return false;
        return start + 1 == text.Length || (char.IsAsciiLetter(text[start + 1]) && LengthOf.ContainsKey(text.Slice(start, 2)));
    }

    private static bool[] FirstLettersOf()
    {
        var letters = new bool[128];
        foreach (var country in Lengths.Keys) letters[country[0] | 0x20] = true;
        return letters;
    }
}
