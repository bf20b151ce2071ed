using System.Buffers;
using System.Net;
using System.Text;

namespace Fairlead.Security;

/// <summary>
/// Reads the host of a URL that a provider will fetch. The syntax is strict: a host that programs read differently could be checked as one
/// host and fetched as another.
/// </summary>
internal static class UrlHost
{
    /// <summary>Bytes of a URL that are enough to read its host: a scheme, a name of 253 characters and a port.</summary>
    public const int PrefixLength = 288;

    private static readonly SearchValues<byte> NameCharacters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"u8);

    /// <summary>Whether the text is a URL of HTTP, whatever the case of its scheme.</summary>
    public static bool IsHttp(ReadOnlySpan<byte> text) =>
        Ascii.EqualsIgnoreCase(text[..Math.Min(text.Length, 7)], "http://"u8) || Ascii.EqualsIgnoreCase(text[..Math.Min(text.Length, 8)], "https://"u8);

    /// <summary>The host in lower case, an IPv6 address without brackets, or what is wrong with it.</summary>
    /// <param name="url">The URL, or its first <see cref="PrefixLength"/> bytes.</param>
    public static (string? Host, string? Fault) Read(ReadOnlySpan<byte> url)
    {
        var authority = url[(url.IndexOf("://"u8) + 3)..];
        var end = authority.IndexOfAny("/?#"u8);
        if (end >= 0) authority = authority[..end];
        else if (url.Length >= PrefixLength) return (null, "the host of the address is too long.");
        if (authority.Contains((byte)'@')) return (null, "the address must not contain a user name or password.");
        if (authority.StartsWith("["u8)) return Bracketed(authority);

        var colon = authority.IndexOf((byte)':');
        var host = colon < 0 ? authority : authority[..colon];
        if (colon >= 0 && !IsPort(authority[(colon + 1)..])) return (null, "the port of the address is not a number.");
        if (host.EndsWith("."u8)) host = host[..^1];
        if (host.IsEmpty) return (null, "the address has no host.");
        if (host.ContainsAnyExcept(NameCharacters))
        {
            return (null, "the host of the address must contain only letters, digits, dots and hyphens; write other names in their xn-- form.");
        }
        var text = Encoding.ASCII.GetString(host).ToLowerInvariant();
        var last = text[(text.LastIndexOf('.') + 1)..];
        // Some programs read 0x7f.1, 2130706433 and 0177.0.0.1 as 127.0.0.1.
        return (last.All(char.IsAsciiDigit) || last.StartsWith("0x", StringComparison.Ordinal))
            && !(IPAddress.TryParse(text, out var address) && address.ToString() == text)
            ? (null, "an IP address must be written as four decimal numbers without leading zeros.")
            : (text, null);
    }

    private static (string? Host, string? Fault) Bracketed(ReadOnlySpan<byte> authority)
    {
        var close = authority.IndexOf((byte)']');
        var rest = close < 0 ? default : authority[(close + 1)..];
        if (close < 0 || (!rest.IsEmpty && (rest[0] != ':' || !IsPort(rest[1..])))) return (null, "the host of the address is not an IPv6 address.");
        var text = Encoding.ASCII.GetString(authority[1..close]);
        return IPAddress.TryParse(text, out var address) && !text.Contains('%', StringComparison.Ordinal)
            ? (address.ToString(), null)
            : (null, "the host of the address is not an IPv6 address.");
    }

    private static bool IsPort(ReadOnlySpan<byte> text) => text.Length <= 5 && !text.ContainsAnyExceptInRange((byte)'0', (byte)'9');
}
