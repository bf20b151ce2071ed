using System.Globalization;
using System.Net;

namespace Fairlead.Security;

/// <summary>
/// Reads URLs that an outsider wrote and that this server will call. The syntax rules are strict, so that no two programs can interpret a
/// URL differently. The address of the host is checked when connecting (<see cref="GuardedConnector"/>).
/// </summary>
internal static class OutboundUrl
{
    public const int MaxLength = 2048;

    /// <summary>Ports of public HTTP servers; another port might belong to a server of a different protocol.</summary>
    private static readonly int[] UsualPorts = [80, 443, 8080, 8443];

    /// <summary>The URL, or what is wrong with it and how to write it.</summary>
    /// <param name="text">The URL as sent.</param>
    /// <param name="rules">Which destinations are allowed.</param>
    /// <param name="allowHttp">Whether plain HTTP is allowed.</param>
    public static (Uri? Url, string? Fault) Read(string text, AddressRules rules, bool allowHttp)
    {
        if (text.Length > MaxLength) return Fault($"Has {text.Length} characters; at most {MaxLength} are accepted.");
        foreach (var letter in text)
        {
            if (letter is <= ' ' or >= (char)127 or '\\' or '"' or '<' or '>' or '^' or '`' or '{' or '|' or '}')
                return Fault("Must contain only visible ASCII characters of a URL; percent-encode others, and write a host in its xn-- "
                    + "form.");
        }
        var colon = text.IndexOf("://", StringComparison.Ordinal);
        var scheme = colon < 0 ? "" : text[..colon].ToLowerInvariant();
        if (scheme == "http" && !allowHttp) return Fault("Must start with https://; this server sends nothing without TLS.");
        if (scheme is not ("https" or "http")) return Fault($"Must start with https://{(allowHttp ? " or http://" : "")}.");

        var authority = text[(colon + 3)..];
        var end = authority.AsSpan().IndexOfAny('/', '?', '#');
        if (end >= 0) authority = authority[..end];
        if (authority.Contains('@', StringComparison.Ordinal))
            return Fault("Must not contain a user name or password; a receiver recognises the sender by the signature.");
        if (authority.Contains('%', StringComparison.Ordinal)) return Fault("The host must not contain percent signs.");
        if (text.Contains('#', StringComparison.Ordinal)) return Fault("Must not have a fragment (#…), which is never sent.");
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.UserInfo.Length > 0)
            return Fault("Is not a URL such as https://example.com/hooks.");

        var host = HostOf(authority);
        if (host.Length == 0) return Fault("Has no host.");
        IPAddress? address = null;
        if (host[0] == '[')
        {
            if (!IPAddress.TryParse(host.AsSpan(1, host.Length - 2), out address)) return Fault("The host is not an IPv6 address.");
        }
        else
        {
            if (host[^1] == '.') return Fault("The host must not end with a dot.");
            // Some programs read 0x7f.1, 2130706433 and 0177.0.0.1 as 127.0.0.1; here they are refused.
            var last = host[(host.LastIndexOf('.') + 1)..];
            if (IPAddress.TryParse(host, out var literal) && literal.ToString() == host) address = literal;
            else if (last.All(char.IsAsciiDigit) || last.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
                return Fault("An address must be written as four decimal numbers without leading zeros.");
            if (!string.Equals(url.Host, host, StringComparison.OrdinalIgnoreCase)) return Fault("The host is not in its canonical form.");
            if (address is null && Uri.CheckHostName(host) != UriHostNameType.Dns) return Fault("The host is not a valid DNS name.");
            if (address is null && !host.Contains('.', StringComparison.Ordinal) && !rules.AllowsMore)
                return Fault("The host must be a full name such as hooks.example.com; single-label names belong to the internal network.");
        }
        if (address is not null && rules.Refuse(address) is { } what)
            return Fault($"Refers to a forbidden address ({what}). Operators can allow networks in webhooks.allowedNetworks.");
        var mayBeNamed = address is null ? rules.AllowsMore : rules.IsNamed(address);
        if (!IsUsual(url.Port) && !mayBeNamed)
            return Fault(string.Create(CultureInfo.InvariantCulture, $"The port must be one of {string.Join(", ", UsualPorts)}."));
        return (url, null);
    }

    /// <summary>Whether a public server may be called on this port.</summary>
    public static bool IsUsual(int port) => Array.IndexOf(UsualPorts, port) >= 0;

    private static string HostOf(string authority)
    {
        if (authority.StartsWith('['))
        {
            var close = authority.IndexOf(']', StringComparison.Ordinal);
            return close < 2 ? "" : authority[..(close + 1)];
        }
        var colon = authority.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? authority : authority[..colon];
    }

    private static (Uri? Url, string? Fault) Fault(string what) => (null, what);
}
