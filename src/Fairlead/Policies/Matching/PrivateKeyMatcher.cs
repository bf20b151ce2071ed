namespace Fairlead.Policies.Matching;

/// <summary>
/// Private keys in PEM, OpenSSH and PGP armour: from the line that begins one to the line that ends it, or as far as its lines of base64
/// go. Line breaks may be written as <c>\n</c>.
/// </summary>
internal sealed class PrivateKeyMatcher : TextMatcher
{
    /// <summary>Maximum length of a match. A PEM block of an RSA key with 16,384 bits has 12,700 characters.</summary>
    public const int Longest = 16_384;

    private const string Begin = "-----BEGIN ";
    private const string End = "-----END ";
    private const string Dashes = "-----";
    private const int LongestTitle = 60;
    private const int LongestLine = 200;

    // A shorter run of base64 is a word, unless it ends its line.
    private const int ShortestRun = 16;

    public override int MaxHeld => Longest + 1;

    public override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        var searched = from;
        while (text[searched..].IndexOf(Begin, StringComparison.Ordinal) is >= 0 and var offset)
        {
            var start = searched + offset;
            var title = text[(start + Begin.Length)..];
            if (title.Length > LongestTitle) title = title[..LongestTitle];
            var length = title.IndexOf(Dashes, StringComparison.Ordinal);
            if (length < 0 && title.Length < LongestTitle && !isFinal) return MatchStep.Pending(start);
            searched = start + Begin.Length;
            if (length < 0 || !title[..length].Contains("PRIVATE KEY", StringComparison.Ordinal)) continue;
            var end = EndOf(text, start, searched + length + Dashes.Length, isFinal);
            return end < 0 ? MatchStep.Pending(start) : MatchStep.Found(start, end - start);
        }
        if (isFinal) return MatchStep.None;
        for (var start = Math.Max(searched, text.Length - Begin.Length + 1); start < text.Length; start++)
        {
            if (Begin.AsSpan().StartsWith(text[start..], StringComparison.Ordinal)) return MatchStep.Pending(start);
        }
        return MatchStep.None;
    }

    private static int EndOf(ReadOnlySpan<char> text, int start, int body, bool isFinal)
    {
        var isCut = text.Length > start + Longest;
        if (isCut) text = text[..(start + Longest)];
        var isOpen = !isFinal && !isCut;
        var end = body;
        var inHeader = true;
        for (var i = body; ;)
        {
            i = SkipBreaks(text, i);
            // Half of an escaped line break, or of the closing line.
            if (i >= text.Length - 1 && isOpen) return -1;
            if (i >= text.Length) return end;
            if (text[i] == '-')
            {
                var close = Close(text, i);
                if (close > 0) return close;
                return isOpen && text.Length - i < End.Length + LongestTitle + Dashes.Length && Could(text[i..]) ? -1 : end;
            }
            var run = i;
            while (i < text.Length && IsBase64(text[i])) i++;
            if (i >= text.Length - 1 && isOpen) return -1;
            if (i == text.Length) return i;
            var isName = text[i] == ':' || (text[i] == '-' && i + 1 < text.Length && char.IsAsciiLetter(text[i + 1]));
            if (inHeader && i > run && i - run < ShortestRun && isName)
            {
                // Version, Comment, Proc-Type, DEK-Info.
                var window = text[i..Math.Min(text.Length, i + LongestLine)];
                var rest = window.IndexOfAny('\n', '\r');
                var escaped = window.IndexOf("\\n", StringComparison.Ordinal);
                var line = rest < 0 || (escaped >= 0 && escaped < rest) ? escaped : rest;
                if (line < 0) return isOpen && window.Length < LongestLine ? -1 : end;
                end = i += line;
                continue;
            }
            if (i == run || (i - run < ShortestRun && !IsBreak(text, i) && text[i] != '-')) return end;
            if (i - run >= ShortestRun) inHeader = false;
            end = i;
        }
    }

    /// <summary>End of the closing line that starts here; 0 if none is complete.</summary>
    private static int Close(ReadOnlySpan<char> text, int start)
    {
        if (!text[start..].StartsWith(End, StringComparison.Ordinal)) return 0;
        var title = text[(start + End.Length)..];
        if (title.Length > LongestTitle + Dashes.Length) title = title[..(LongestTitle + Dashes.Length)];
        var length = title.IndexOf(Dashes, StringComparison.Ordinal);
        return length < 0 ? 0 : start + End.Length + length + Dashes.Length;
    }

    /// <summary>Whether an incomplete closing line may start here.</summary>
    private static bool Could(ReadOnlySpan<char> tail) =>
        tail.Length < End.Length ? End.AsSpan().StartsWith(tail, StringComparison.Ordinal) : tail.StartsWith(End, StringComparison.Ordinal);

    private static bool IsBase64(char c) => char.IsAsciiLetterOrDigit(c) || c is '+' or '/' or '=';

    private static bool IsBreak(ReadOnlySpan<char> text, int at) =>
        text[at] is '\n' or '\r' || (text[at] == '\\' && at + 1 < text.Length && text[at + 1] is 'n' or 'r' or '\\');

    private static int SkipBreaks(ReadOnlySpan<char> text, int at)
    {
        while (at < text.Length)
        {
            var c = text[at];
            if (c is '\n' or '\r' or ' ' or '\t')
            {
                at++;
            }
            else if (c == '\\' && at + 1 < text.Length && text[at + 1] is 'n' or 'r' or '\\')
            {
                at += text[at + 1] == '\\' ? 1 : 2;
            }
            else
            {
                break;
            }
        }
        return at;
    }
}
