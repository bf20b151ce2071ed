namespace Fairlead.Policies.Matching;

/// <summary>
/// The form of a national id. In the pattern, <c>d</c> is a digit, <c>a</c> a letter, <c>x</c> a letter or digit; <c>_</c> may be one of the
/// separators, and <c>=</c> must be one.
/// </summary>
/// <param name="pattern">The characters in order.</param>
/// <param name="separators">Separators that count.</param>
/// <param name="isValid">Whether the letters (capitals) and digits, without separators, are a correct id.</param>
internal sealed class NationalIdForm(string pattern, string separators, NationalIdCheck isValid)
{
    private readonly uint _runs = RunsOf(pattern);

    /// <summary>Maximum letters and digits of an id.</summary>
    public const int MaxCharacters = 18;

    /// <summary>Letters that the form starts with.</summary>
    public int LeadingLetters { get; } = pattern.Length - pattern.TrimStart('a').Length;

    /// <summary>Whether the form can start with a run of exactly this many digits. Rules out most forms at once.</summary>
    public bool CanStartWith(int digits) => (_runs >> digits & 1) != 0;

    /// <summary>Length of the match, 0 if there is none, -1 if the text ends too early.</summary>
    public int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        Span<char> characters = stackalloc char[MaxCharacters];
        var (count, i) = (0, start);
        foreach (var symbol in pattern)
        {
            if (i == text.Length) return isFinal ? 0 : -1;
            var c = text[i];
            if (symbol is '_' or '=')
            {
                var isSeparator = separators.Contains(c, StringComparison.Ordinal);
                if (!isSeparator && symbol == '=') return 0;
                if (!isSeparator) continue;
                i++;
                continue;
            }
            var fits = symbol switch { 'd' => char.IsAsciiDigit(c), 'a' => char.IsAsciiLetter(c), _ => char.IsAsciiLetterOrDigit(c) };
            if (!fits) return 0;
            characters[count++] = char.ToUpperInvariant(c);
            i++;
        }
        if (i == text.Length) return isFinal ? Valid(characters[..count], i - start) : -1;
        if (Letters.Joins(text[i])) return 0;
        // More digits after the same separator: a longer number.
        if (text[i] is '-' or '.' or '/')
        {
            if (i + 1 == text.Length && !isFinal) return -1;
            if (i + 1 < text.Length && char.IsAsciiDigit(text[i + 1])) return 0;
        }
        return Valid(characters[..count], i - start);
    }

    private static uint RunsOf(string pattern)
    {
        var (runs, count) = (0u, 0);
        foreach (var symbol in pattern)
        {
            if (symbol == 'd')
            {
                count++;
                continue;
            }
            // The run may end before a separator or letter, and ends before those that must be.
            runs |= 1u << count;
            if (symbol is '=' or 'a') return runs;
            if (symbol == 'x') count++;
        }
        return runs | (1u << count);
    }

    private int Valid(ReadOnlySpan<char> characters, int length) => isValid(characters) ? length : 0;
}

/// <summary>Whether letters and digits are a correct id.</summary>
internal delegate bool NationalIdCheck(ReadOnlySpan<char> id);
