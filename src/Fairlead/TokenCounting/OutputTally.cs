using System.Text;
using Fairlead.Dialects;
using Fairlead.Http;
using Fairlead.Streaming;

namespace Fairlead.TokenCounting;

/// <summary>
/// Measures output by kind of text, so that the tokens of a truncated response can be estimated. Processes text as it passes and stores
/// none of it. Weights are hundredths of a token of the o200k vocabulary, fitted to samples of prose, code, JSON and ten scripts.
/// </summary>
/// <remarks>
/// Four bytes per token is right for English prose only: JSON has two bytes per token, Chinese five, Russian eight. Not thread-safe; a
/// reader on another thread may see numbers that are one chunk apart.
/// </remarks>
internal struct OutputTally
{
    // Of a longer piece only the start is examined and represents the rest, so that a whole body does not need a second pass.
    private const int MaxLookedAt = 4096;

    // Prose has 2 to 5 % of its weight in punctuation and digits, Markdown 24 %, JavaScript 38 %, JSON from 50 % on.
    private const double CodeShare = 0.3;

    // Four tokens: short responses have a wide variety of totals.
    private const int MinSlack = 400;

    private const byte Letter = 0;
    private const byte Space = 1;
    private const byte Digit = 2;
    private const byte Sign = 3;
    private const byte Accented = 4;
    private const byte Alphabet = 5;
    private const byte Indic = 6;
    private const byte Ideograph = 7;
    private const byte Hangul = 8;
    private const byte Pictograph = 9;
    private const byte HalfPictograph = 10;

    // A byte that continues a letter, and white space after white space.
    private const byte Nothing = 11;
    private const int Kinds = 12;

    private static readonly byte[] KindsOfBytes = MakeKindsOfBytes();

    private static ReadOnlySpan<byte> Weights => [25, 25, 60, 50, 30, 30, 33, 70, 60, 160, 80, 0];

    private long _argumentSigns;

    /// <summary>UTF-8 bytes of the whole output.</summary>
    public long Bytes { get; private set; }

    /// <summary>Weight of words in Latin letters.</summary>
    public long Words { get; private set; }

    /// <summary>Weight of digits and of signs between them.</summary>
    public long Signs { get; private set; }

    /// <summary>Weight of tool arguments.</summary>
    public long Arguments { get; private set; }

    /// <summary>Weight of all other scripts.</summary>
    public long OtherScripts { get; private set; }

    /// <summary>Text that is code or JSON counts as such, like tool arguments.</summary>
    public readonly long Code => Arguments + (IsCode ? Words + Signs : 0);

    public readonly long Prose => IsCode ? 0 : Words + Signs;

    public readonly long Total => Words + Signs + Arguments + OtherScripts;

    /// <summary>
    /// A lower limit: fewer tokens than any known vocabulary produces for this text, so a smaller count cannot be right. A quarter of the
    /// usual number for words (16 bytes a token) and for other scripts (17
    /// bytes of Chinese, 27 of Cyrillic, 36 of Thai). A thirty-second for signs: vocabularies have single tokens for lines of up to 64
    /// dashes.
    /// </summary>
    public readonly long LeastTokens =>
        Math.Max(0, (((Words + Arguments - _argumentSigns + OtherScripts) / 4) + ((Signs + _argumentSigns) / 32) - MinSlack) / 100);

    private readonly bool IsCode => Signs > CodeShare * (Words + Signs);

    /// <summary>Adds bytes of unknown kind, which count as prose.</summary>
    public void Add(int utf8Bytes)
    {
        Bytes += utf8Bytes;
        Words += 25L * utf8Bytes;
    }

    /// <summary>Adds the inside of a JSON string in its escaped form.</summary>
    /// <param name="json">Without the quotes.</param>
    /// <param name="isEscaped">Whether it has escapes.</param>
    /// <param name="isArguments">Whether it belongs to the arguments of a tool.</param>
    public void Add(ReadOnlySpan<byte> json, bool isEscaped, bool isArguments)
    {
        Bytes += isEscaped ? JsonEscapes.DecodedLength(json) : json.Length;
        Span<int> counts = stackalloc int[Kinds];
        counts.Clear();
        var looked = json.Length <= MaxLookedAt ? json : json[..MaxLookedAt];
        var last = Nothing;
        for (var i = 0; i < looked.Length; i++)
        {
            var kind = KindsOfBytes[looked[i]];
            if (isEscaped && looked[i] == (byte)'\\' && i + 1 < looked.Length)
            {
                var letter = looked[++i];
                kind = letter is (byte)'n' or (byte)'t' or (byte)'r' ? Space : Sign;
                if (letter == (byte)'u' && i + 4 < looked.Length)
                {
                    kind = KindOf((char)JsonEscapes.CodeUnit(looked, i - 1));
                    i += 4;
                }
            }
            if (kind == Space && last == Space) continue;
            last = kind;
            counts[kind]++;
        }
        Take(counts, json.Length, looked.Length, isArguments);
    }

    public void Add(ReadOnlySpan<char> text, bool isArguments)
    {
        Bytes += Encoding.UTF8.GetByteCount(text);
        Span<int> counts = stackalloc int[Kinds];
        counts.Clear();
        var looked = text.Length <= MaxLookedAt ? text : text[..MaxLookedAt];
        var last = Nothing;
        foreach (var letter in looked)
        {
            var kind = letter < 0x80 ? KindsOfBytes[letter] : KindOf(letter);
            if (kind == Space && last == Space) continue;
            last = kind;
            counts[kind]++;
        }
        Take(counts, text.Length, looked.Length, isArguments);
    }

    public void Add(in OutputTally other)
    {
        Bytes += other.Bytes;
        Words += other.Words;
        Signs += other.Signs;
        Arguments += other.Arguments;
        _argumentSigns += other._argumentSigns;
        OtherScripts += other.OtherScripts;
    }

    private void Take(ReadOnlySpan<int> counts, int length, int looked, bool isArguments)
    {
        long words = 0, signs = 0, others = 0;
        for (var kind = 0; kind < Kinds; kind++)
        {
            var weight = (long)counts[kind] * Weights[kind];
            if (kind is Letter or Space or Accented) words += weight;
            else if (kind is Digit or Sign) signs += weight;
            else others += weight;
        }
        if (looked < length) (words, signs, others) = (words * length / looked, signs * length / looked, others * length / looked);
        OtherScripts += others;
        if (isArguments)
        {
            Arguments += words + signs;
            _argumentSigns += signs;
            return;
        }
        Words += words;
        Signs += signs;
    }

    private static byte KindOf(char letter) => letter switch
    {
        < '\u0080' => KindsOfBytes[letter],
        < '\u0280' => Accented,
        < '\u0800' => Alphabet,
        < '\u2000' => Indic,
        < '\u2C00' => Sign,
        < '\uA000' => Ideograph,
        < '\uAC00' => Indic,
        < '\uD800' => Hangul,
        < '\uE000' => HalfPictograph,
        _ => Ideograph,
    };

    private static byte[] MakeKindsOfBytes()
    {
        var kinds = new byte[256];
        for (var b = 0; b < 256; b++)
        {
            kinds[b] = b switch
            {
                <= ' ' => Space,
                >= '0' and <= '9' => Digit,
                (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') => Letter,
                < 0x80 => Sign,
                < 0xC0 => Nothing,
                < 0xCA => Accented,
                < 0xE0 => Alphabet,
                < 0xE2 => Indic,
                0xE2 => Sign,
                < 0xEA => Ideograph,
                < 0xEE => Hangul,
                0xEE or 0xEF => Ideograph,
                _ => Pictograph,
            };
        }
        return kinds;
    }
}
