using System.Globalization;

namespace Fairlead.TokenCounting;

/// <summary>
/// Splits a text where a run without a break grows too long. Merging in a vocabulary costs the square of the longest word, so that
/// 100 KB of one letter take seconds. With runs of limited length, every text costs time in proportion to its length.
/// </summary>
/// <remarks>
/// The classes follow what the o200k and cl100k splitters keep together: letters with their marks, white space, and everything else but
/// digits, which they split by threes anyway.
/// </remarks>
internal ref struct UnbrokenRuns(ReadOnlySpan<char> text)
{
    /// <summary>Characters. Longer than any word of a human language, so that only data and hostile text is split.</summary>
    public const int MaxRun = 256;

    private ReadOnlySpan<char> _rest = text;

    private enum CharClass : byte
    {
        Letter,
        Space,
        Digit,
        Other,
        Mark,
    }

    /// <summary>Whether anything was split so far. The counts of the pieces then need not add up to the count of the whole.</summary>
    public bool WasCut { get; private set; }

    /// <summary>The next piece; all pieces together are the text. False at its end.</summary>
    public bool TryNext(out ReadOnlySpan<char> piece)
    {
        if (_rest.IsEmpty)
        {
            piece = default;
            return false;
        }
        var length = FindCut(_rest);
        piece = _rest[..length];
        _rest = _rest[length..];
        WasCut |= !_rest.IsEmpty;
        return true;
    }

    private static int FindCut(ReadOnlySpan<char> text)
    {
        var current = CharClass.Digit;
        var run = 0;
        for (var i = 0; i < text.Length; i++)
        {
            var next = ClassOf(text[i]);
            if (next == CharClass.Mark) next = current is CharClass.Letter or CharClass.Other ? current : CharClass.Other;
            if (next != current || next == CharClass.Digit)
            {
                current = next;
                run = 0;
            }
            if (++run <= MaxRun) continue;
            // Between the halves of a surrogate pair neither side is valid text.
            return char.IsLowSurrogate(text[i]) && char.IsHighSurrogate(text[i - 1]) ? i - 1 : i;
        }
        return text.Length;
    }

    private static CharClass ClassOf(char c)
    {
        if (c < 128)
        {
            return char.IsAsciiLetter(c) ? CharClass.Letter
                : char.IsAsciiDigit(c) ? CharClass.Digit
                : char.IsWhiteSpace(c) ? CharClass.Space
                : CharClass.Other;
        }
        return char.GetUnicodeCategory(c) switch
        {
            <= UnicodeCategory.OtherLetter => CharClass.Letter,
            <= UnicodeCategory.EnclosingMark => CharClass.Mark,
            <= UnicodeCategory.OtherNumber => CharClass.Digit,
            _ => char.IsWhiteSpace(c) ? CharClass.Space : CharClass.Other,
        };
    }
}
