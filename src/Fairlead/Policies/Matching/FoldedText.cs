using System.Buffers;

namespace Fairlead.Policies.Matching;

/// <summary>
/// A text as the matchers of words and fixed forms read it: invisible characters are dropped, full-width and similar forms become ASCII,
/// and all kinds of spaces, dashes and digits become one. Each character remembers where it came from. While nothing had to be folded, it is
/// the text itself and costs one check for each chunk. One owner.
/// </summary>
internal sealed class FoldedText
{
    /// <summary>
    /// Invisible characters in a row that are dropped. More of them separate what is around them, so that they cannot hold back a stream for
    /// ever.
    /// </summary>
    public const int MaxDropped = 16;

    private const char Dropped = '\uFFFF';
    private const char Separator = '\uFFFD';

    private char[] _characters = [];
    private int[] _sources = [];
    private int _length;
    private int _droppedInRow;

    /// <summary>Whether the folded text differs from the text.</summary>
    public bool IsFolded { get; private set; }

    /// <summary>Characters of the text that were read. One less than its length if it ends with half a surrogate pair.</summary>
    public int Read { get; private set; }

    /// <summary>Number of folded characters.</summary>
    public int Length => IsFolded ? _length : Read;

    /// <summary>The folded text.</summary>
    public ReadOnlySpan<char> Of(ReadOnlySpan<char> text) => IsFolded ? _characters.AsSpan(0, _length) : text[..Math.Min(Read, text.Length)];

    /// <summary>Where a folded character starts in the text; for the end, how much of the text was read.</summary>
    public int SourceOf(int folded) => !IsFolded ? folded : folded < _length ? _sources[folded] : Read;

    /// <summary>Where the source of a folded character ends in the text.</summary>
    public int SourceEndOf(ReadOnlySpan<char> text, int folded)
    {
        if (!IsFolded) return folded + 1;
        var start = _sources[folded];
        // A pair that became one character; a pair that stays is two folded characters, each with its own source.
        var isPair = !char.IsSurrogate(_characters[folded]) && char.IsHighSurrogate(text[start]);
        return isPair && start + 1 < text.Length ? start + 2 : start + 1;
    }

    /// <summary>Number of folded characters whose source is before a position of the text.</summary>
    public int CountBefore(int source)
    {
        if (!IsFolded) return Math.Min(source, Read);
        var (low, high) = (0, _length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_sources[middle] < source) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    /// <summary>Reads what was added to the text.</summary>
    public void Extend(ReadOnlySpan<char> text, bool isFinal)
    {
        if (!IsFolded)
        {
            var plain = text[Read..].IndexOfAnyExceptInRange('\0', '\x7F');
            if (plain < 0)
            {
                Read = text.Length;
                return;
            }
            Read += plain;
            StartFolding(text);
        }
        Reserve(_length + text.Length - Read);
        while (Read < text.Length)
        {
            var c = text[Read];
            if (c < 0x80)
            {
                Add(c, 1);
                continue;
            }
            if (char.IsHighSurrogate(c))
            {
                if (Read + 1 == text.Length && !isFinal) return;
                if (Read + 1 < text.Length && char.IsLowSurrogate(text[Read + 1]))
                {
                    AddPair(c, text[Read + 1]);
                    continue;
                }
            }
            Add(Fold(c), 1);
        }
    }

    /// <summary>Forgets the first characters.</summary>
    /// <param name="sources">Number of characters of the text.</param>
    public void Trim(int sources)
    {
        if (IsFolded)
        {
            var count = CountBefore(sources);
            Array.Copy(_characters, count, _characters, 0, _length - count);
            for (var i = count; i < _length; i++) _sources[i - count] = _sources[i] - sources;
            _length -= count;
        }
        Read -= sources;
    }

    /// <summary>Starts a new text.</summary>
    public void Clear()
    {
        IsFolded = false;
        _length = 0;
        _droppedInRow = 0;
        Read = 0;
    }

    /// <summary>Folds a whole text.</summary>
    public static string Fold(string text)
    {
        var folded = new FoldedText();
        folded.Extend(text, isFinal: true);
        return folded.IsFolded ? new string(folded.Of(text)) : text;
    }

    /// <summary>Folds a character outside of ASCII; <see cref="Dropped"/> for invisible ones.</summary>
    private static char Fold(char c) => c switch
    {
        '\u00A0' or '\u1680' or (>= '\u2000' and <= '\u200A') or '\u202F' or '\u205F' or '\u3000' or '\u2028' or '\u2029' => ' ',
        '\u00AD' or '\u034F' or '\u061C' or '\u115F' or '\u1160' or '\u17B4' or '\u17B5' or (>= '\u180B' and <= '\u180F')
            or (>= '\u200B' and <= '\u200F') or (>= '\u202A' and <= '\u202E') or (>= '\u2060' and <= '\u206F') or '\u3164'
            or (>= '\uFE00' and <= '\uFE0F') or '\uFEFF' or '\uFFA0' or (>= '\uFFF9' and <= '\uFFFB') => Dropped,
        (>= '\u2010' and <= '\u2015') or '\u2043' or '\u2212' or '\uFE58' or '\uFE63' => '-',
        '\u2018' or '\u2019' or '\u02BC' or '\u02B9' or '\u2032' => '\'',
        '\u2024' or '\uFE52' => '.',
        '\uFE6B' => '@',
        '\u2215' or '\u2044' => '/',
        >= '\uFF01' and <= '\uFF5E' => (char)(c - 0xFEE0),
        >= '\u24B6' and <= '\u24CF' => (char)(c - 0x24B6 + 'A'),
        >= '\u24D0' and <= '\u24E9' => (char)(c - 0x24D0 + 'a'),
        _ when char.IsDigit(c) => (char)('0' + (int)char.GetNumericValue(c)),
        Dropped => Separator,
        _ => c,
    };

    /// <summary>Folds a pair to one character; <see cref="Separator"/> if it stays a pair.</summary>
    private static char Fold(int codePoint) => codePoint switch
    {
        // Tags and variation selectors are invisible.
        (>= 0xE0000 and <= 0xE007F) or (>= 0xE0100 and <= 0xE01EF) => Dropped,
        // Mathematical letters in 13 styles, 26 capitals and 26 small letters each; then digits in five styles.
        >= 0x1D400 and <= 0x1D6A3 => (char)((codePoint - 0x1D400) % 52 is var letter && letter < 26 ? 'A' + letter : 'a' + letter - 26),
        >= 0x1D7CE and <= 0x1D7FF => (char)('0' + ((codePoint - 0x1D7CE) % 10)),
        >= 0x1F130 and <= 0x1F149 => (char)('A' + codePoint - 0x1F130),
        _ => Separator,
    };

    private void AddPair(char high, char low)
    {
        var folded = Fold(char.ConvertToUtf32(high, low));
        if (folded != Separator)
        {
            Add(folded, 2);
            return;
        }
        Add(high, 1);
        Add(low, 1);
    }

    private void Add(char folded, int sources)
    {
        if (folded == Dropped)
        {
            Read += sources;
            if (++_droppedInRow <= MaxDropped) return;
            Store(Separator, Read - sources);
            return;
        }
        _droppedInRow = 0;
        Store(folded, Read);
        Read += sources;
    }

    private void Store(char folded, int source)
    {
        _characters[_length] = folded;
        _sources[_length++] = source;
    }

    private void StartFolding(ReadOnlySpan<char> text)
    {
        IsFolded = true;
        _length = 0;
        Reserve(text.Length);
        text[..Read].CopyTo(_characters);
        for (var i = 0; i < Read; i++) _sources[i] = i;
        _length = Read;
    }

    private void Reserve(int length)
    {
        if (_characters.Length >= length) return;
        var size = Math.Max(length, Math.Max(256, _characters.Length * 2));
        Array.Resize(ref _characters, size);
        Array.Resize(ref _sources, size);
    }
}
