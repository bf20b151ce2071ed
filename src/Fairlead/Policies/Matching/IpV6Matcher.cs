using System.Net;
using System.Net.Sockets;

namespace Fairlead.Policies.Matching;

/// <summary>Addresses of IPv6, in full, shortened, or with an IPv4 address at the end. At least one digit distinguishes them from <c>a::b</c>.</summary>
internal sealed class IpV6Matcher : TextMatcher
{
    private const int Longest = 45;

    private static readonly System.Buffers.SearchValues<char> Parts = System.Buffers.SearchValues.Create("0123456789abcdefABCDEF:.");

    public override int MaxHeld => Longest + 1;

    public override MatchStep Next(ReadOnlySpan<char> text, int from, bool isFinal)
    {
        var first = from;
        var searched = from;
        while (text[searched..].IndexOf(':') is >= 0 and var offset)
        {
            var colon = searched + offset;
            var start = HexStart(text, first, colon);
            if (colon - start > 4 || Letters.JoinsBefore(text, start))
            {
                // A name before a colon; the address may follow.
                first = searched = colon + 1;
                continue;
            }
            var run = text[start..];
            var isCut = run.Length > Longest;
            if (isCut) run = run[..(Longest + 1)];
            var length = run.IndexOfAnyExcept(Parts);
            var isOpen = length < 0;
            if (isOpen && !isCut && !isFinal) return MatchStep.Pending(start);
            if (isOpen) length = run.Length;
            var found = length <= Longest ? Measure(run[..length], isOpen ? ' ' : run[length]) : 0;
            if (found > 0) return MatchStep.Found(start, found);
            first = searched = Math.Max(colon + 1, start + length);
        }
        if (isFinal) return MatchStep.None;
        var tail = HexStart(text, searched, text.Length);
        return text.Length - tail is > 0 and <= 4 && !Letters.JoinsBefore(text, tail) ? MatchStep.Pending(tail) : MatchStep.None;
    }

    private static int HexStart(ReadOnlySpan<char> text, int from, int end)
    {
        var first = Math.Max(from, end - 5);
        while (end > first && char.IsAsciiHexDigit(text[end - 1])) end--;
        return end;
    }

    private static int Measure(ReadOnlySpan<char> run, char next)
    {
        if (Letters.Joins(next)) return 0;
        // The end of a sentence is no part of an address.
        while (run.Length > 0 && (run[^1] == '.' || (run[^1] == ':' && !run.EndsWith("::", StringComparison.Ordinal)))) run = run[..^1];
        return run.Count(':') >= 2 && run.ContainsAnyInRange('0', '9') && IPAddress.TryParse(run, out var address)
            && address.AddressFamily == AddressFamily.InterNetworkV6 ? run.Length : 0;
    }
}
