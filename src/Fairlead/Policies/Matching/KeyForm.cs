using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>The form of a vendor's keys: a prefix and what follows it.</summary>
/// <param name="Prefix">What every key starts with.</param>
/// <param name="Characters">What the rest consists of.</param>
/// <param name="Shortest">Minimum length of the rest.</param>
/// <param name="Longest">
/// Maximum length of the rest. Equal to <paramref name="Shortest"/>: the rest has exactly this length. Otherwise a longer rest matches up to
/// this length.
/// </param>
/// <param name="IsMixed">The rest has at least one digit and one letter, which distinguishes it from words.</param>
internal sealed record KeyForm(string Prefix, SearchValues<char> Characters, int Shortest, int Longest, bool IsMixed = false)
{
    /// <summary>Length of the key that starts with the prefix, 0 if there is none, -1 if the text ends too early.</summary>
    public int Measure(ReadOnlySpan<char> text, int start, bool isFinal)
    {
        var rest = text[(start + Prefix.Length)..];
        var isFixed = Shortest == Longest;
        // One more than the longest, to see whether a key of a fixed length ends there.
        var limited = rest.Length > Longest ? rest[..(Longest + 1)] : rest;
        var length = limited.IndexOfAnyExcept(Characters);
        if (length < 0)
        {
            if (limited.Length <= Longest && !isFinal) return -1;
            length = limited.Length;
        }
        else if (Letters.Joins(limited[length]))
        {
            return 0;
        }
        if (length < Shortest || (isFixed && length > Longest)) return 0;
        length = Math.Min(length, Longest);
        // The end of a sentence.
        while (length > Shortest && limited[length - 1] == '.') length--;
        if (IsMixed && !(limited[..length].ContainsAnyInRange('0', '9') && HasLetter(limited[..length]))) return 0;
        return Prefix.Length + length;
    }

    private static bool HasLetter(ReadOnlySpan<char> text)
    {
        foreach (var c in text)
        {
            if (char.IsAsciiLetter(c)) return true;
        }
        return false;
    }
}
