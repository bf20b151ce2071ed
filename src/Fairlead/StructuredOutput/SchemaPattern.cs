using System.Text.RegularExpressions;

namespace Fairlead.StructuredOutput;

/// <summary>
/// A regular expression of a caller's schema. Reading a schema only measures it; it is compiled on first use. Matching takes linear time.
/// Thread-safe.
/// </summary>
internal sealed class SchemaPattern(string text)
{
    /// <summary>Maximum length of one pattern.</summary>
    public const int MaxLength = 1000;

    /// <summary>Maximum number of different patterns in one schema.</summary>
    public const int MaxCount = 100;

    /// <summary>Maximum estimated states of one compiled pattern; see <see cref="SizeOf"/>.</summary>
    public const int MaxSize = 2_000;

    /// <summary>The same for all patterns of one schema together.</summary>
    public const int MaxTotalSize = 10_000;

    /// <summary>
    /// The result of <see cref="SizeOf"/> for a pattern with the option x: it allows comments, and no other validator of JSON Schema reads
    /// it.
    /// </summary>
    public const long Unknown = long.MaxValue;

    private static readonly System.Buffers.SearchValues<char> OptionLetters = System.Buffers.SearchValues.Create("imnsxIMNSX+-");

    private static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(1);

    private Regex? _compiled;

    public string Text => text;

    /// <summary>Estimated states.</summary>
    public long Size { get; } = SizeOf(text);

    /// <summary>Compiles it. False when it is not a regular expression, or cannot be matched in linear time.</summary>
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

    /// <summary>Whether the text matches; null when that takes too long.</summary>
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
    /// Estimates the states of a compiled pattern without compiling it: one for each character, times the repetition counts around it.
    /// Never too low for a pattern that compiles.
    /// </summary>
    public static long SizeOf(string pattern)
    {
        // Sizes of the open groups, the outermost first; a repetition multiplies the last atom of a group.
        var groups = new Stack<(long Size, long Atom)>();
        var (size, atom) = (0L, 0L);
        for (var i = 0; i < pattern.Length && size <= int.MaxValue; i++)
        {
            switch (pattern[i])
            {
                case '\\':
                    i = EndOfEscape(pattern, i);
                    Single();
                    break;
                case '[':
                    // A class is one state however many characters it contains.
                    i = EndOfClass(pattern, i);
                    Single();
                    break;
                case '(' when HasExtendedOption(pattern, i):
                    return Unknown;
                case '(' when pattern.AsSpan(i).StartsWith("(?#", StringComparison.Ordinal):
                    // A comment ends at the first parenthesis.
                    i = pattern.IndexOf(')', i) is >= 0 and var close ? close : pattern.Length;
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

    /// <summary>
    /// Last character of the escape that starts at <paramref name="start"/>. Digits of a code may follow; they change no structure.
    /// </summary>
    private static int EndOfEscape(string pattern, int start) => start + 1 < pattern.Length ? pattern[start + 1] switch
    {
        'c' => start + 2,
        'p' or 'P' when start + 2 < pattern.Length && pattern[start + 2] == '{' && pattern.IndexOf('}', start) is >= 0 and var end => end,
        _ => start + 1,
    } : start;

    /// <summary>
    /// Last character of the class that starts at <paramref name="start"/>, by .NET's rules for first characters, ranges and subtractions:
    /// its end decides what of the pattern is counted.
    /// </summary>
    private static int EndOfClass(string pattern, int start)
    {
        var depth = 1;
        var (isFirst, inRange) = (true, false);
        var i = AfterCaret(start + 1);
        while (i < pattern.Length)
        {
            var at = i;
            var letter = pattern[i++];
            var isEscaped = letter == '\\' && i < pattern.Length;
            if (letter == ']' && !isFirst)
            {
                if (--depth == 0) return at;
                continue;
            }
            if (isEscaped)
            {
                letter = pattern[i];
                i = EndOfEscape(pattern, at) + 1;
                if (letter is 'd' or 'D' or 's' or 'S' or 'w' or 'W' or 'p' or 'P' or '-')
                {
                    (isFirst, inRange) = (false, false);
                    continue;
                }
            }
            else if (letter == '[' && !inRange && pattern.AsSpan(i).StartsWith("::]", StringComparison.Ordinal))
            {
                i += 3;
            }
            var isInner = false;
            if (inRange)
            {
                inRange = false;
                isInner = letter == '[' && !isEscaped && !isFirst;
            }
            else if (i + 1 < pattern.Length && pattern[i] == '-' && pattern[i + 1] != ']')
            {
                inRange = true;
                i++;
            }
            else if (letter == '-' && !isEscaped && !isFirst && i < pattern.Length && pattern[i] == '[')
            {
                isInner = true;
                i++;
            }
            isFirst = isInner;
            if (!isInner) continue;
            depth++;
            i = AfterCaret(i);
        }
        return pattern.Length;

        int AfterCaret(int index) => index < pattern.Length && pattern[index] == '^' ? index + 1 : index;
    }

    /// <summary>Whether a group that sets the option x starts here: (?x), (?ix:…).</summary>
    private static bool HasExtendedOption(string pattern, int start)
    {
        if (start + 1 >= pattern.Length || pattern[start + 1] != '?') return false;
        var options = pattern.AsSpan(start + 2);
        var length = options.IndexOfAnyExcept(OptionLetters);
        return length > 0 && options[length] is (')' or ':') && options[..length].IndexOfAny('x', 'X') >= 0;
    }

    /// <summary>Reads {n}, {n,} and {n,m}: the larger number is the cost.</summary>
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
