using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Telephone numbers: international ones with <c>+</c> or <c>00</c> (8 to 15 digits), North American ones in groups of 3, 3 and 4, and
/// national ones that start with 0 or an area code in parentheses. Numbers without any sign or separator match only in the forms of mobile
/// numbers.
/// </summary>
internal sealed class PhoneMatcher : CandidateMatcher
{
    private const int Longest = 32;
    private const int MaxDigits = 17;
    private const int MaxGroups = 9;
    private const int MaxSeparators = 3;

    private static readonly SearchValues<char> Starts = SearchValues.Create("+(0123456789");

    public override int MaxHeld => Longest + 1;

    protected override int FindCandidate(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        while (true)
        {
            var offset = text[from..].IndexOfAny(Starts);
            if (offset < 0) return text.Length;
            var start = from + offset;
            var c = text[start];
            if (char.IsAsciiDigit(c))
            {
                if (!Letters.JoinsBefore(text, start) && !Letters.IsInNumber(text, start) && !IsAfterSeparator(text, start)) return start;
                from = Digits.EndOf(text, start);
                continue;
            }
            var next = start + 1 < text.Length ? text[start + 1] : isFinal ? ' ' : '0';
            if (char.IsAsciiDigit(next) || next == (c == '+' ? '(' : '+')) return start;
            from = start + 1;
        }
    }

    protected override int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        Span<char> digits = stackalloc char[MaxDigits];
        Span<Group> groups = stackalloc Group[MaxGroups];
        var (count, groupCount, separators) = (0, 0, 0);
        var i = start;
        for (; ; i++)
        {
            if (i == text.Length && !isFinal) return NeedsMore;
            if (i == text.Length || i == start + Longest) break;
            var c = text[i];
            if (char.IsAsciiDigit(c))
            {
                var isNew = i == start || !char.IsAsciiDigit(text[i - 1]);
                if (count == MaxDigits || (isNew && groupCount == MaxGroups))
                {
                    // The last group is longer than a number can be: it is not a group of this number.
                    if (!isNew) groupCount--;
                    break;
                }
                if (isNew) groups[groupCount++] = new Group(0, 0);
                digits[count++] = c;
                groups[groupCount - 1] = new Group(groups[groupCount - 1].Length + 1, i + 1);
                separators = 0;
                continue;
            }
            var isSign = i == start && c == '+';
            if (!isSign && (c is not (' ' or '-' or '.' or '(' or ')' or '/') || ++separators > MaxSeparators)) break;
        }
        if (i == start + Longest && i < text.Length && char.IsAsciiDigit(text[i]) && char.IsAsciiDigit(text[i - 1])) groupCount--;
        var isPlus = text[start] == '+' || (text[start] == '(' && text[start + 1] == '+');
        var isParenthesis = text[start] == '(';
        for (var used = groupCount; used > 0; used--)
        {
            var end = groups[used - 1].End;
            if (end < text.Length && Letters.Joins(text[end])) continue;
            // The parenthesis of the text around the number.
            if (isParenthesis && !text[start..end].Contains(')')) return 0;
            var number = digits[..Sum(groups[..used])];
            if (isPlus ? IsInternational(number, groups[..used]) : IsNational(number, groups[..used], isParenthesis)) return end - start;
        }
        return 0;
    }

    // 12-34: the second group is no start of a number.
    private static bool IsAfterSeparator(ReadOnlySpan<char> text, int start) =>
        start > 1 && text[start - 1] is '-' or '/' && char.IsAsciiDigit(text[start - 2]);

    private static int Sum(ReadOnlySpan<Group> groups)
    {
        var sum = 0;
        foreach (var group in groups) sum += group.Length;
        return sum;
    }

    // ITU-T E.164: at most 15 digits. A trunk zero in parentheses is no digit of the number.
    private static bool IsInternational(ReadOnlySpan<char> number, ReadOnlySpan<Group> groups)
    {
        if (number[0] == '0' || (groups.Length > 1 && groups[^1].Length < 2)) return false;
        if (number[0] == '1') return number.Length == 11 && number[1] >= '2' && number[4] >= '2';
        return number.Length is >= 8 and <= 15 || (number.Length == 16 && groups.Length > 1 && groups[1].Length == 1);
    }

    private static bool IsNational(ReadOnlySpan<char> number, ReadOnlySpan<Group> groups, bool isParenthesis)
    {
        if (number.StartsWith("00") && number.Length > 2) return number.Length >= 10 && IsInternational(number[2..], groups);
        if (IsNorthAmerican(number, groups, isParenthesis)) return true;
        foreach (var group in groups)
        {
            if (group.Length < 2) return false;
        }
        if (groups.Length == 1) return IsMobile(number);
        if (number[0] == '0')
        {
            var isDate = groups.Length >= 3 && groups[0].Length == 2 && groups[1].Length == 2 && groups[2].Length == 4;
            return number[1] != '0' && number.Length is >= 9 and <= 12 && groups[0].Length <= 6 && !isDate;
        }
        // Area codes of two digits in parentheses (Brazil), and two groups of five (India).
        if (isParenthesis) return groups[0].Length == 2 && number.Length is 10 or 11 && groups[^1].Length == 4;
        return groups.Length == 2 && groups[0].Length == 5 && groups[1].Length == 5 && number[0] >= '6';
    }

    private static bool IsNorthAmerican(ReadOnlySpan<char> number, ReadOnlySpan<Group> groups, bool isParenthesis)
    {
        if (groups[0].Length == 1 && number[0] == '1' && !isParenthesis)
        {
            number = number[1..];
            groups = groups[1..];
        }
        if (number.Length != 10 || number[0] < '2' || number[3] < '2' || groups[0].Length != 3) return false;
        return (groups.Length == 3 && groups[1].Length == 3) || (groups.Length == 2 && isParenthesis);
    }

    // France and the Netherlands 06, France 07, United Kingdom 07, Germany 015 to 017, Australia 04.
    private static bool IsMobile(ReadOnlySpan<char> number) => number.Length switch
    {
        10 => number[0] == '0' && number[1] is '4' or '6' or '7',
        11 => number.StartsWith("07") || (number.StartsWith("01") && number[2] is >= '5' and <= '7'),
        12 => number.StartsWith("01") && number[2] is >= '5' and <= '7',
        _ => false,
    };

    private readonly record struct Group(int Length, int End);
}
