using System.Globalization;

namespace Fairlead.Policies.Matching;

/// <summary>What single characters are to the matchers. Independent of the culture.</summary>
internal static class Letters
{
    /// <summary>
    /// Whether a character continues a word of a script that puts spaces between words. Chinese, Japanese, Korean, Thai and their neighbours
    /// do not, so that a match there may touch other letters.
    /// </summary>
    public static bool Joins(char c)
    {
        if (c < 0x80) return char.IsAsciiLetterOrDigit(c) || c == '_';
        return !IsUnspaced(c) && (char.IsLetterOrDigit(c) || IsMark(c));
    }

    /// <summary>Whether the character before a position continues a word into it.</summary>
    public static bool JoinsBefore(ReadOnlySpan<char> text, int at) => at > 0 && Joins(text[at - 1]);

    /// <summary>Letters of scripts without spaces between words, and of Korean, where particles follow a word directly.</summary>
    public static bool IsUnspaced(char c) =>
        c is >= '\u0E00' and <= '\u0EFF' or >= '\u1000' and <= '\u109F' or >= '\u1100' and <= '\u11FF' or >= '\u1780' and <= '\u17FF'
            or >= '\u2E80' and <= '\u9FFF' or >= '\uA960' and <= '\uA97F' or >= '\uAC00' and <= '\uD7FF' or >= '\uF900' and <= '\uFAFF'
            or >= '\uFF66' and <= '\uFFDC';

    /// <summary>Whether digits before a position belong to the same number: <c>12.</c> or <c>12,</c> directly before it.</summary>
    public static bool IsInNumber(ReadOnlySpan<char> text, int at) =>
        at > 1 && text[at - 1] is '.' or ',' && char.IsAsciiDigit(text[at - 2]);

    private static bool IsMark(char c) =>
        CharUnicodeInfo.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;
}
