using System.Net;
using System.Net.Sockets;

namespace Fairlead.Security;

/// <summary>
/// Which addresses the server may connect to when an outsider chose the destination: public unicast addresses, and those that the operator
/// allows. Immutable and thread-safe.
/// </summary>
internal sealed class AddressRules(IReadOnlyList<IPNetwork> allowed)
{
    public static readonly AddressRules PublicOnly = new([]);

    // The IANA special-purpose registries, and addresses that look public but that clouds use internally.
    private static readonly (IPNetwork Network, string What)[] Refused =
    [
        Range("0.0.0.0/8", "unspecified"),
        Range("10.0.0.0/8", "private"),
        Range("100.64.0.0/10", "carrier-grade NAT"),
        Range("127.0.0.0/8", "loopback"),
        Range("168.63.129.16/32", "a cloud's own service"), // Azure's host agent
        Range("169.254.0.0/16", "link-local"), // with 169.254.169.254, the metadata of most clouds
        Range("172.16.0.0/12", "private"),
        Range("192.0.0.0/24", "reserved"), // with 192.0.0.192, Oracle's metadata
        Range("192.0.2.0/24", "documentation"),
        Range("192.88.99.0/24", "a relay of 6to4"),
        Range("192.168.0.0/16", "private"),
        Range("198.18.0.0/15", "reserved for measurements"),
        Range("198.51.100.0/24", "documentation"),
        Range("203.0.113.0/24", "documentation"),
        Range("224.0.0.0/4", "multicast"),
        Range("240.0.0.0/4", "reserved"), // with broadcast
        Range("::/128", "unspecified"),
        Range("::1/128", "loopback"),
        Range("::/96", "IPv4 within IPv6"),
        Range("::ffff:0:0:0/96", "IPv4 within IPv6"), // SIIT
        Range("64:ff9b::/96", "IPv4 within IPv6"), // NAT64
        Range("64:ff9b:1::/48", "IPv4 within IPv6"), // NAT64 of the local network
        Range("100::/64", "discarded"),
        Range("2001::/32", "IPv4 within IPv6"), // Teredo
        Range("2001::/23", "reserved"),
        Range("2001:db8::/32", "documentation"),
        Range("2002::/16", "IPv4 within IPv6"), // 6to4
        Range("3fff::/20", "documentation"),
        Range("fc00::/7", "private"), // with fd00:ec2::254, Amazon's metadata
        Range("fe80::/10", "link-local"),
        Range("fec0::/10", "private"), // site-local
        Range("ff00::/8", "multicast"),
    ];

    // All of IPv6 that is assigned as global unicast.
    private static readonly IPNetwork Global = IPNetwork.Parse("2000::/3");

    /// <summary>Whether the operator allows networks that are not public.</summary>
    public bool AllowsMore => allowed.Count > 0;

    /// <summary>Whether the operator named the address, which also lifts the rule on ports.</summary>
    public bool IsNamed(IPAddress address)
    {
        // Both the address itself and the form in which networks are compared: 10.0.0.0/8 also allows ::ffff:10.0.0.1, which is the same
        // host.
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : WithoutZone(address);
        foreach (var network in allowed)
        {
            if (network.Contains(plain)) return true;
        }
        return false;
    }

    /// <summary>Why connecting to the address is forbidden, in a few words; null if it is allowed.</summary>
    public string? Refuse(IPAddress address)
    {
        if (IsNamed(address)) return null;
        if (address.AddressFamily == AddressFamily.InterNetworkV6 && address.ScopeId != 0) return "link-local";
        // IPNetwork compares these as IPv4, so no IPv6 range would match them.
        if (address.IsIPv4MappedToIPv6) return "IPv4 within IPv6";
        foreach (var (network, what) in Refused)
        {
            if (network.Contains(address)) return what;
        }
        if (address.AddressFamily == AddressFamily.InterNetwork) return null;
        if (address.AddressFamily != AddressFamily.InterNetworkV6 || !Global.Contains(address)) return "reserved";
        return IsIsatap(address) ? "IPv4 within IPv6" : null;
    }

    // RFC 5214: the interface's half is 00 00 5e fe or 02 00 5e fe and an IPv4 address.
    private static bool IsIsatap(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        return bytes[8] is 0 or 2 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe;
    }

    private static IPAddress WithoutZone(IPAddress address) =>
        address.AddressFamily == AddressFamily.InterNetworkV6 && address.ScopeId != 0 ? new IPAddress(address.GetAddressBytes()) : address;

    private static (IPNetwork Network, string What) Range(string network, string what) => (IPNetwork.Parse(network), what);
}
