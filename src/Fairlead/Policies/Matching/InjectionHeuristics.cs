using System.Buffers;
using System.Text;

namespace Fairlead.Policies.Matching;

/// <summary>
/// Scores a text for signs of prompt injection. Each kind of sign counts once, with its points; <see cref="Threshold"/> points are a match.
/// The signs and their points are in the guide on kinds. Work is linear in the length of the text. Thread-safe.
/// </summary>
internal static class InjectionHeuristics
{
    /// <summary>Points from which on a text matches.</summary>
    public const int Threshold = 100;

    private const int Certain = 100;
    private const int Strong = 60;
    private const int Weak = 40;

    // Characters before and after a verb in which what it speaks of must be.
    private const int Before = 60;
    private const int After = 90;

    private const int ShortestPayload = 40;
    private const int LongestPayload = 4_000;
    private const int MaxPayloads = 16;

    private static readonly SearchValues<char> PayloadCharacters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");

    /// <summary>Whether a text has enough signs.</summary>
    public static bool IsInjection(string text) => Score(text) >= Threshold;

    /// <summary>Adds the points of the signs in a text.</summary>
    public static int Score(string text)
    {
        var hidden = ScoreOfHidden(text);
        if (hidden >= Threshold) return hidden;
        var folded = FoldedText.Fold(text);
        var score = hidden + ScoreOfWords(folded);
        return score >= Threshold ? score : score + ScoreOfPayloads(folded);
    }

    private static int ScoreOfWords(ReadOnlySpan<char> text)
    {
        if (!InjectionWords.HasSign(text)) return 0;
        var score = 0;
        if (text.ContainsAny(InjectionWords.Templates)) score += Certain;
        if (text.ContainsAny(InjectionWords.Delimiters)) score += Strong;
        if (HasRoleLine(text)) score += Strong;
        if (text.ContainsAny(InjectionWords.Secrecy) && Near(text, InjectionWords.Disclosures, InjectionWords.Secrecy)) score += Strong;
        if (text.ContainsAny(InjectionWords.Decoding)) score += Weak;
        score += Math.Min(2, CountOf(text, InjectionWords.Personas)) * Weak;
        return score + ScoreOfOverrides(text);
    }

    /// <summary>An order to ignore instructions: a verb, a word for instructions, and one that says which.</summary>
    private static int ScoreOfOverrides(ReadOnlySpan<char> text)
    {
        var score = ScoreOfOverrides(text, InjectionWords.AsciiVerbs);
        return score >= Certain || Ascii.IsValid(text) ? score : Math.Max(score, ScoreOfOverrides(text, InjectionWords.OtherVerbs));
    }

    private static int ScoreOfOverrides(ReadOnlySpan<char> text, SearchValues<string> verbs)
    {
        var (score, searched) = (0, 0);
        while (text[searched..].IndexOfAny(verbs) is >= 0 and var offset)
        {
            var at = searched + offset;
            searched = at + 1;
            foreach (var language in InjectionWords.Languages)
            {
                if ((language.HasSpaces && Letters.JoinsBefore(text, at)) || !StartsWithAny(text[at..], language.Verbs)) continue;
                var window = text[Math.Max(0, at - Before)..Math.Min(text.Length, at + After)];
                if (!window.ContainsAny(language.Instructions)) continue;
                if (window.ContainsAny(language.Earlier)) return Certain;
                if (window.ContainsAny(language.Yours)) score = Strong;
            }
        }
        return score;
    }

    private static bool StartsWithAny(ReadOnlySpan<char> text, string[] verbs)
    {
        foreach (var verb in verbs)
        {
            if (text.StartsWith(verb, StringComparison.OrdinalIgnoreCase)) return true;
        }
        return false;
    }

    private static bool Near(ReadOnlySpan<char> text, SearchValues<string> verbs, SearchValues<string> objects)
    {
        var searched = 0;
        while (text[searched..].IndexOfAny(verbs) is >= 0 and var offset)
        {
            var verb = searched + offset;
            if (text[verb..Math.Min(text.Length, verb + After)].ContainsAny(objects)) return true;
            searched = verb + 1;
        }
        return false;
    }

    private static int CountOf(ReadOnlySpan<char> text, SearchValues<string> phrases)
    {
        var (count, searched) = (0, 0);
        while (count < 2 && text[searched..].IndexOfAny(phrases) is >= 0 and var offset)
        {
            count++;
            searched += offset + 4;
            if (searched >= text.Length) break;
        }
        return count;
    }

    /// <summary>A line that starts like the turn of another role.</summary>
    private static bool HasRoleLine(ReadOnlySpan<char> text)
    {
        while (text.IndexOfAny(InjectionWords.RoleLines) is >= 0 and var at)
        {
            var before = text[..at].TrimEnd(" \t#*>-");
            if (before.IsEmpty || before[^1] is '\n' or '\r') return true;
            text = text[(at + 1)..];
            // What was cut off is no start of a line.
            var line = text.IndexOfAny('\n', '\r');
            if (line < 0) return false;
            text = text[line..];
        }
        return false;
    }

    private static int ScoreOfHidden(ReadOnlySpan<char> text)
    {
        var first = text.IndexOfAnyExceptInRange('\0', '\u1FFF');
        if (first < 0) return 0;
        var (tags, selectors, overrides, inWords) = (0, 0, 0, 0);
        for (var i = first; i < text.Length; i++)
        {
            var c = text[i];
            if (c is '\u202D' or '\u202E') overrides++;
            else if (c is '\u200B' or '\u200C' or '\u2060' or '\uFEFF' or '\u00AD' && IsInWord(text, i)) inWords++;
            if (c != '\uDB40' || i + 1 == text.Length) continue;
            // U+E0020 to U+E007F copy ASCII, U+E0100 to U+E01EF can carry bytes. Neither is visible.
            var low = text[i + 1];
            if (low is >= '\uDC20' and <= '\uDC7E') tags++;
            else if (low is >= '\uDD00' and <= '\uDDEF') selectors++;
        }
        // Flags of regions (Scotland, Wales) have five letters in tags, and few texts have several of them.
        return tags > 12 || selectors > 12 ? Certain : (overrides > 0 ? Strong : 0) + (inWords >= 4 ? Strong : 0);
    }

    private static bool IsInWord(ReadOnlySpan<char> text, int at) =>
        at > 0 && at + 1 < text.Length && char.IsAsciiLetter(text[at - 1]) && char.IsAsciiLetter(text[at + 1]);

    /// <summary>Base64 whose text has signs of its own.</summary>
    private static int ScoreOfPayloads(ReadOnlySpan<char> text)
    {
        Span<byte> bytes = stackalloc byte[LongestPayload / 4 * 3];
        for (var payloads = 0; payloads < MaxPayloads; payloads++)
        {
            var start = NextPayload(text);
            if (start < 0) return 0;
            text = text[start..];
            var length = text.IndexOfAnyExcept(PayloadCharacters);
            var run = length < 0 ? text : text[..length];
            text = text[run.Length..];
            run = run.TrimEnd('=');
            if (run.Length > LongestPayload) run = run[..LongestPayload];
            run = run[..(run.Length / 4 * 4)];
            if (!Convert.TryFromBase64Chars(run, bytes, out var written)) continue;
            var decoded = Encoding.UTF8.GetString(bytes[..written]);
            if (ScoreOfWords(decoded) >= Strong) return Certain;
        }
        return 0;
    }

    private static int NextPayload(ReadOnlySpan<char> text)
    {
        var from = 0;
        while (from + ShortestPayload <= text.Length)
        {
            var last = text.Slice(from, ShortestPayload).LastIndexOfAnyExcept(PayloadCharacters);
            if (last < 0) return from;
            from += last + 1;
        }
        return -1;
    }
}
