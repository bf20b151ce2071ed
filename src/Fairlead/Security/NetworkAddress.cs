using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Fairlead.Security;

/// <summary>Addresses from which a key may be used, in their written form: one address, or a network in CIDR notation.</summary>
internal static class NetworkAddress
{
    /// <summary>The network in CIDR notation, or what is wrong with <paramref name="text"/>.</summary>
    public static (string? Value, string? Fault) Read(string text)
    {
        const string Form = "Must be an IP address such as 192.0.2.7 or 2001:db8::1, or a network such as 10.0.0.0/8.";
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var written = slash < 0 ? text : text[..slash];
        // The parser also accepts '1', '0x7f.1' and '010.0.0.1' (octal): a typo must not open another network.
        if (written.Contains('%', StringComparison.Ordinal) || !IPAddress.TryParse(written, out var address)) return (null, Form);
        if (address.AddressFamily == AddressFamily.InterNetwork && address.ToString() != written) return (null, Form);
        var bits = address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;
        var prefix = bits;
        if (slash >= 0 && (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out prefix)
            || prefix > bits))
        {
            return (null, $"The prefix length after '/' must be a number from 0 to {bits}.");
        }

        if (address.IsIPv4MappedToIPv6)
        {
            // Connections are compared in their IPv4 form.
            if (prefix < 96) return (null, "Write IPv4 networks in IPv4 form, such as 10.0.0.0/8.");
            (address, prefix) = (address.MapToIPv4(), prefix - 96);
        }
        var network = Network(address, prefix);
        if (!network.BaseAddress.Equals(address)) return (null, $"Has bits set beyond its prefix; write {network} or the address alone.");
        return (network.ToString(), null);
    }

    private static IPNetwork Network(IPAddress address, int prefix)
    {
        var bytes = address.GetAddressBytes();
        for (var i = 0; i < bytes.Length; i++)
        {
            var kept = Math.Clamp(prefix - (8 * i), 0, 8);
            bytes[i] &= (byte)(0xFF << (8 - kept));
        }
        return new IPNetwork(new IPAddress(bytes), prefix);
    }
}
