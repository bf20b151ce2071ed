namespace Fairlead.Policies.Matching;

/// <summary>
/// Tokens that look random: at least <see cref="Shortest"/> characters of base64 or its URL form, with capitals, small letters and at
/// least two digits, that change often between these, and an entropy of at least <see cref="MinEntropy"/> bits a character. Words,
/// identifiers, numbers, UUIDs and hexadecimal hashes are not among them. Longer tokens are judged in pieces.
/// </summary>
internal sealed class EntropyMatcher(int longest) : TextMatcher
{
    /// <summary>Minimum length of a token.</summary>
    public const int Shortest = 20;

    /// <summary>Minimum Shannon entropy in bits a character. A random token of 20 characters has about 4.1.</summary>
    public const double MinEntropy = 3.6;

    // Of neighbours in random letters and digits, 62 % are of different classes, and 31 % are such as names do not have: two capitals, a capital
    // before a digit, a small letter after one.
    private const double MinChanges = 0.3;
    private const double MinOddPairs = 0.08;

    private static readonly bool[] TokenCharacters =
        [.. Enumerable.Range(0, 128).Select(c => char.IsAsciiLetterOrDigit((char)c) || (char)c is '+' or '/' or '=' or '_' or '-')];

    public override int MaxHeld => longest;

    public override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        while (true)
        {
            // A token that contains this place ends after it, or there is none that starts before it.
            var probe = from + Shortest - 1;
            if (probe >= text.Length) break;
            if (!IsToken(text[probe]))
            {
                from = probe + 1;
                continue;
            }
            var start = probe;
            while (start > from && IsToken(text[start - 1])) start--;
            var limit = Math.Min(text.Length, start + longest);
            var end = probe + 1;
            while (end < limit && IsToken(text[end])) end++;
            if (end == text.Length && end - start < longest && !isFinal) return MatchStep.Pending(start);
            if (end - start >= Shortest && LooksRandom(text[start..end])) return MatchStep.Found(start, end - start);
            from = end;
        }
        if (isFinal) return MatchStep.None;
        var tail = text.Length;
        while (tail > from && IsToken(text[tail - 1])) tail--;
        return tail == text.Length ? MatchStep.None : MatchStep.Pending(tail);
    }

    private static bool IsToken(char c) => c < 128 && TokenCharacters[c];

    private static bool LooksRandom(ReadOnlySpan<char> token)
    {
        Span<ushort> counts = stackalloc ushort[128];
        Span<int> classes = stackalloc int[4];
        var (last, changes, oddPairs) = (-1, 0, 0);
        foreach (var c in token)
        {
            counts[c]++;
            var kind = char.IsAsciiLetterUpper(c) ? 0 : char.IsAsciiLetterLower(c) ? 1 : char.IsAsciiDigit(c) ? 2 : 3;
            classes[kind]++;
            if (kind != last && last >= 0) changes++;
            if ((last, kind) is (0, 0) or (0, 2) or (2, 1)) oddPairs++;
            last = kind;
        }
        if (classes[0] == 0 || classes[1] == 0 || classes[2] < 2 || changes < token.Length * MinChanges || oddPairs < token.Length * MinOddPairs) return false;
        var entropy = 0.0;
        foreach (var count in counts)
        {
            if (count == 0) continue;
            var share = (double)count / token.Length;
            entropy -= share * Math.Log2(share);
        }
        return entropy >= MinEntropy;
    }
}
