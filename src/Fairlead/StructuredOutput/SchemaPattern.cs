using System.Text.RegularExpressions;

namespace Fairlead.StructuredOutput;

/// <summary>
/// A regular expression of a caller's schema. Reading a schema only measures it; it is compiled on first use. Matching takes time that grows with the text and not faster.
/// Thread-safe.
/// </summary>
internal sealed class SchemaPattern(string text)
{
    /// <summary>Length of one pattern.</summary>
    public const int MaxLength = 1000;

    /// <summary>Different patterns of one schema.</summary>
    public const int MaxCount = 100;

    /// <summary>Estimated states of one compiled pattern; see <see cref="SizeOf"/>.</summary>
    public const int MaxSize = 2_000;

    /// <summary>The same of all patterns of one schema together.</summary>
    public const int MaxTotalSize = 10_000;

    private static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(1);

    private Regex? _compiled;

    public string Text => text;

    /// <summary>Estimated states.</summary>
    public long Size { get; } = SizeOf(text);

    /// <summary>Compiles it. False when it is no regular expression, or one that cannot be matched in linear time.</summary>
    public bool TryCompile()
    {
        if (Volatile.Read(ref _compiled) is not null) return true;
        try
        {
            _compiled = new Regex(text, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, MatchTimeout);
            return true;
        }
        catch (Exception exception) when (exception is ArgumentException or NotSupportedException)
        {
            return false;
        }
    }

    /// <summary>Whether the text matches; null when that takes too long to find out.</summary>
    public bool? IsMatch(string value)
    {
        if (!TryCompile()) return null;
        try
        {
            return _compiled!.IsMatch(value);
        }
        catch (RegexMatchTimeoutException)
        {
            return null;
        }
    }

    /// <summary>
    /// Estimates the states of a compiled pattern without compiling it: one for each character, times the counts of the repetitions around it. Never too low for a pattern that compiles.
    /// </summary>
    public static long SizeOf(string pattern)
    {
        // Sizes of the groups that are open, the outermost first; the last atom of each is what a repetition multiplies.
        var groups = new Stack<(long Size, long Atom)>();
        var (size, atom) = (0L, 0L);
        for (var i = 0; i < pattern.Length && size <= int.MaxValue; i++)
        {
            switch (pattern[i])
            {
                case '\\':
                    i++;
                    Single();
                    break;
                case '[':
                    // A class is one state however many characters it names.
                    i = EndOfClass(pattern, i);
                    Single();
                    break;
                case '(':
                    groups.Push((size, atom));
                    (size, atom) = (0, 0);
                    break;
                case ')' when groups.Count > 0:
                    var inner = size + 1;
                    var (outer, _) = groups.Pop();
                    (size, atom) = (outer + inner, inner);
                    break;
                case '{' when TryReadCount(pattern, i, out var count, out var end):
                    size += atom * (count - 1);
                    atom *= count;
                    i = end;
                    break;
                case '*' or '+' or '?' or '|':
                    size++;
                    break;
                default:
                    Single();
                    break;
            }
        }
        foreach (var (open, _) in groups) size += open;
        return size;

        void Single()
        {
            size++;
            atom = 1;
        }
    }

    private static int EndOfClass(string pattern, int start)
    {
        var depth = 0;
        for (var i = start; i < pattern.Length; i++)
        {
            if (pattern[i] == '\\') i++;
            else if (pattern[i] == '[' && (i == start || pattern[i - 1] == '-')) depth++;
            else if (pattern[i] == ']' && i > start + 1 && --depth <= 0) return i;
        }
        return pattern.Length;
    }

    /// <summary>Reads {n}, {n,} and {n,m}: the larger number is what it costs.</summary>
    private static bool TryReadCount(string pattern, int start, out long count, out int end)
    {
        (count, end) = (0, 0);
        long number = 0, least = 0;
        var (digits, comma) = (0, false);
        for (var i = start + 1; i < pattern.Length; i++)
        {
            var letter = pattern[i];
            if (char.IsAsciiDigit(letter))
            {
                number = Math.Min(int.MaxValue, (number * 10) + (letter - '0'));
                digits++;
            }
            else if (letter == ',' && !comma && digits > 0)
            {
                (comma, least, number) = (true, number, 0);
            }
            else if (letter == '}' && digits > 0)
            {
                count = Math.Max(1, Math.Max(least, number));
                end = i;
                return true;
            }
            else
            {
                return false;
            }
        }
        return false;
    }
}
