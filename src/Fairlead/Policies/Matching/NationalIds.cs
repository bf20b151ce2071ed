namespace Fairlead.Policies.Matching;

/// <summary>
/// National ids that can be told from other numbers: by a check digit wherever the id has one, otherwise by separators and by values that are
/// never issued. Sources are the publications of the issuing authorities.
/// </summary>
internal static class NationalIds
{
    /// <summary>Maximum characters of a match, with separators.</summary>
    public const int LongestText = 24;

    private const string SpanishLetters = "TRWAGMYFPDXBNJZSQVHLCKE";
    private const string FinnishCharacters = "0123456789ABCDEFHJKLMNPRSTUVWXY";

    // Value of a character at an odd place of a codice fiscale, for 0-9 and for A-Z.
    private static ReadOnlySpan<byte> ItalianOddDigits => [1, 0, 5, 7, 9, 13, 15, 17, 19, 21];

    private static ReadOnlySpan<byte> ItalianOddLetters =>
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

    /// <summary>All forms.</summary>
    public static readonly IReadOnlyList<NationalIdForm> Forms =
    [
        new("ddd=dd=dddd", " -", UnitedStates),
        new("aa_dd_dd_dd_a", " -", UnitedKingdom),
        new("dd_ddd_ddd_ddd", " ", Germany),
        new("d_dd_dd_dx_ddd_ddd_dd", " ", France),
        new("dddddddd_a", " -", Spain), new("dd=ddd=ddd_a", ".-", Spain), new("a_ddddddd_a", " -", SpainForeigner),
        new("aaaaaaxxaxxaxxxa", "", Italy),
        new("ddd_ddd_ddd", " .", Netherlands), new("dddd=dd=ddd", " .", Netherlands),
        new("ddd_dddd_dddd_dd", " .", Switzerland),
        new("dddd_dddd_dddd", " -", India),
        new("ddd_ddd_ddd_dd", " .-", Brazil),
        new("dd_dd_dd_ddd_dd", " .-", Belgium),
        new("dddddd=dddd", "-+", Sweden), new("dddddddd=dddd", "-+", static id => Sweden(id[2..])),
        new("dddddd=dddx", "-+ABCDEFYXWVU", Finland),
        new("ddddddddddd", "", Poland),
        new("ddd=ddd=ddd", " -", Canada),
        new("dddddddddddddddddx", "", China),
    ];

    private static byte[] Digits(ReadOnlySpan<char> id)
    {
        var digits = new byte[id.Length];
        for (var i = 0; i < id.Length; i++) digits[i] = (byte)(id[i] - '0');
        return digits;
    }

    private static int Number(ReadOnlySpan<char> id) => (int)Checksums.Number(Digits(id));

    private static bool IsMonthAndDay(int month, int day) => month is >= 1 and <= 12 && day is >= 1 and <= 31;

    // Social security number: ranges that are never issued. It has no check digit.
    private static bool UnitedStates(ReadOnlySpan<char> id) =>
        id[0] != '9' && !id.StartsWith("000") && !id.StartsWith("666") && id.Slice(3, 2) is not "00" && !id.EndsWith("0000");

    // National insurance number: prefixes that are never issued. It has no check digit.
    private static bool UnitedKingdom(ReadOnlySpan<char> id) =>
        id[^1] is >= 'A' and <= 'D' && !"DFIQUV".Contains(id[0], StringComparison.Ordinal) && !"DFIOQUV".Contains(id[1], StringComparison.Ordinal)
            && id[..2] is not ("BG" or "GB" or "KN" or "NK" or "NT" or "TN" or "ZZ");

    // Steuer-ID: among the first ten digits one occurs twice or three times, the others at most once.
    private static bool Germany(ReadOnlySpan<char> id)
    {
        var digits = Digits(id);
        if (digits[0] == 0 || !Checksums.Mod1110(digits)) return false;
        Span<int> counts = stackalloc int[10];
        foreach (var digit in digits.AsSpan(0, 10)) counts[digit]++;
        var repeated = 0;
        foreach (var count in counts)
        {
            if (count > 3) return false;
            if (count > 1) repeated++;
        }
        return repeated == 1;
    }

    // NIR of INSEE: sex, year, month, place, serial number, and a key of 97 minus the rest. Corsica has letters.
    private static bool France(ReadOnlySpan<char> id)
    {
        if (id[0] is not ('1' or '2' or '3' or '4' or '7' or '8')) return false;
        var month = Number(id.Slice(3, 2));
        if (month is not ((>= 1 and <= 12) or (>= 20 and <= 42) or >= 50)) return false;
        Span<char> number = stackalloc char[15];
        id.CopyTo(number);
        var lessThan = 0L;
        if (!char.IsAsciiDigit(id[6]))
        {
            if (id[5] != '2' || id[6] is not ('A' or 'B')) return false;
            lessThan = id[6] == 'A' ? 1_000_000 : 2_000_000;
            number[6] = '0';
        }
        var digits = Digits(number);
        return Checksums.Number(digits.AsSpan(13)) == 97 - ((Checksums.Number(digits.AsSpan(0, 13)) - lessThan) % 97);
    }

    private static bool Spain(ReadOnlySpan<char> id) => id[8] == SpanishLetters[Number(id[..8]) % 23];

    // NIE: X, Y and Z stand for 0, 1 and 2.
    private static bool SpainForeigner(ReadOnlySpan<char> id) =>
        id[0] is >= 'X' and <= 'Z' && id[8] == SpanishLetters[(((id[0] - 'X') * 10_000_000) + Number(id[1..8])) % 23];

    // Codice fiscale. Digits may be replaced by the letters LMNPQRSTUV when two persons would have the same code.
    private static bool Italy(ReadOnlySpan<char> id)
    {
        var sum = 0;
        for (var i = 0; i < 15; i++)
        {
            var c = id[i];
            if (i is 6 or 7 or 9 or 10 or 12 or 13 or 14 && !char.IsAsciiDigit(c) && !"LMNPQRSTUV".Contains(c, StringComparison.Ordinal)) return false;
            var isOdd = (i & 1) == 0;
            if (char.IsAsciiDigit(c)) sum += isOdd ? ItalianOddDigits[c - '0'] : c - '0';
            else sum += isOdd ? ItalianOddLetters[c - 'A'] : c - 'A';
        }
        return "ABCDEHLMPRST".Contains(id[8], StringComparison.Ordinal) && id[15] - 'A' == sum % 26;
    }

    // Burgerservicenummer: the test of eleven.
    private static bool Netherlands(ReadOnlySpan<char> id)
    {
        var digits = Digits(id);
        var sum = Checksums.Weighted(digits, [9, 8, 7, 6, 5, 4, 3, 2, -1]);
        return sum > 0 && sum % 11 == 0 && id.ContainsAnyExcept(id[0]);
    }

    // AHV number: 756 and the check digit of EAN-13.
    private static bool Switzerland(ReadOnlySpan<char> id)
    {
        if (!id.StartsWith("756")) return false;
        var digits = Digits(id);
        var sum = Checksums.Weighted(digits, [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]);
        return (10 - (sum % 10)) % 10 == digits[12];
    }

    private static bool India(ReadOnlySpan<char> id) => id[0] >= '2' && id.ContainsAnyExcept(id[0]) && Checksums.Verhoeff(Digits(id));

    // CPF: two check digits.
    private static bool Brazil(ReadOnlySpan<char> id)
    {
        var digits = Digits(id);
        var first = Checksums.Weighted(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11 % 10;
        var second = Checksums.Weighted(digits, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11 % 10;
        return digits[9] == first && digits[10] == second && id.ContainsAnyExcept(id[0]);
    }

    // Rijksregisternummer: 97 minus the rest; births from 2000 on count with a 2 in front.
    private static bool Belgium(ReadOnlySpan<char> id)
    {
        var digits = Digits(id);
        var number = Checksums.Number(digits.AsSpan(0, 9));
        var check = Checksums.Number(digits.AsSpan(9));
        return Number(id.Slice(2, 2)) is var month && month % 20 <= 12 && Number(id.Slice(4, 2)) <= 31
            && (97 - (number % 97) == check || 97 - ((2_000_000_000 + number) % 97) == check);
    }

    // Personnummer: 60 is added to the day of co-ordination numbers.
    private static bool Sweden(ReadOnlySpan<char> id) =>
        IsMonthAndDay(Number(id.Slice(2, 2)), Number(id.Slice(4, 2)) % 60) && Checksums.Luhn(Digits(id));

    private static bool Finland(ReadOnlySpan<char> id)
    {
        if (!IsMonthAndDay(Number(id.Slice(2, 2)), Number(id[..2]))) return false;
        var number = (Number(id[..6]) * 1000L) + Number(id.Slice(6, 3));
        return id[9] == FinnishCharacters[(int)(number % 31)];
    }

    // PESEL: the month contains the century.
    private static bool Poland(ReadOnlySpan<char> id)
    {
        var digits = Digits(id);
        var sum = Checksums.Weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
        return IsMonthAndDay(Number(id.Slice(2, 2)) % 20, Number(id.Slice(4, 2))) && (10 - (sum % 10)) % 10 == digits[10];
    }

    private static bool Canada(ReadOnlySpan<char> id) => id[0] is not ('0' or '8') && Checksums.Luhn(Digits(id));

    // Resident identity number: ISO/IEC 7064, MOD 11-2, where X stands for ten.
    private static bool China(ReadOnlySpan<char> id)
    {
        if (!IsMonthAndDay(Number(id.Slice(10, 2)), Number(id.Slice(12, 2))) || id.Slice(6, 2) is not ("18" or "19" or "20")) return false;
        var sum = Checksums.Weighted(Digits(id[..17]), [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
        return id[17] == "10X98765432"[sum % 11];
    }
}
