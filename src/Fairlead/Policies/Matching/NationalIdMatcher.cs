namespace Fairlead.Policies.Matching;

/// <summary>National ids of the forms in <see cref="NationalIds"/>: the longest one that starts at a word.</summary>
internal sealed class NationalIdMatcher : CandidateMatcher
{
    // The most letters before the first digit: codice fiscale.
    private const int MaxLetters = 6;

    public override int MaxHeld => NationalIds.LongestText + 2;

    protected override int FindCandidate(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        for (var searched = from; ;)
        {
            var offset = text[searched..].IndexOfAnyInRange('0', '9');
            if (offset < 0) break;
            var digit = searched + offset;
            var start = LettersBefore(text, from, digit);
            // Letters may be apart from the digits: AB 12 34 56 C.
            if (start == digit && StartsPair(text, from, digit - 3) && text[digit - 1] is ' ' or '-') return digit - 3;
            if (digit - start is 0 or 1 or 2 or MaxLetters && !Letters.JoinsBefore(text, start) && !Letters.IsInNumber(text, start)) return start;
            searched = Digits.EndOf(text, digit);
        }
        if (isFinal) return text.Length;
        if (StartsPair(text, from, text.Length - 3) && text[^1] is ' ' or '-') return text.Length - 3;
        var tail = LettersBefore(text, from, text.Length);
        return text.Length - tail <= MaxLetters && !Letters.JoinsBefore(text, tail) ? tail : text.Length;
    }

    protected override int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        var longest = 0;
        var letters = start;
        while (letters < text.Length && letters - start <= MaxLetters && char.IsAsciiLetter(text[letters])) letters++;
        var digits = letters == start ? Math.Min(Digits.EndOf(text, start) - start, NationalIdForm.MaxCharacters + 1) : 0;
        var isOpen = !isFinal && start + digits == text.Length;
        foreach (var form in NationalIds.Forms)
        {
            if (digits > 0 ? form.LeadingLetters > 0 || (!isOpen && !form.CanStartWith(digits)) : form.LeadingLetters == 0) continue;
            var length = form.Measure(text, start, isFinal);
            if (length < 0) return NeedsMore;
            if (length > longest) longest = length;
        }
        return longest;
    }

    private static bool StartsPair(ReadOnlySpan<char> text, int from, int start) =>
        start >= from && char.IsAsciiLetter(text[start]) && char.IsAsciiLetter(text[start + 1]) && !Letters.JoinsBefore(text, start);

    private static int LettersBefore(ReadOnlySpan<char> text, int from, int end)
    {
        var first = Math.Max(from, end - MaxLetters - 1);
        while (end > first && char.IsAsciiLetter(text[end - 1])) end--;
        return end;
    }
}
