using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Fairlead.Configuration;
using Fairlead.Errors;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>
/// Counts wrong keys by address. An address that sent too many within a minute gets 429 for unknown keys during the next minute, before
/// anything is looked up. Only requests with an unknown key come here, so known keys cost nothing and keep working. Thread-safe; the memory
/// has a fixed size.
/// </summary>
internal sealed class WrongKeys(
    IConfigurationSource configuration, AccessMetrics metrics, TimeProvider time, ILogger<WrongKeys> logger)
{
    internal static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    // An address can be in the places of its set only, so a look-up is short. 16,384 places of 40 bytes.
    private const int Ways = 8;
    private const int Sets = 2048;
    private const int Locks = 64;

    private readonly Lazy<Place[]> _places = new(() => new Place[Sets * Ways]);
    private readonly Lock[] _locks = [.. Enumerable.Range(0, Locks).Select(_ => new Lock())];

    /// <summary>Counts a wrong key.</summary>
    /// <param name="address">The client; null if it is not known, as on a local socket.</param>
    /// <returns>The refusal, if the address sent too many before this one; null if the key is refused for itself.</returns>
    public AuthenticationResult? Count(IPAddress? address)
    {
        var max = configuration.Current.Authentication.WrongKeysPerMinute;
        if (max == 0) return null;
        metrics.WrongKey();
        var key = KeyOf(address);
        var set = (key.GetHashCode() & int.MaxValue) % Sets;
        var now = time.GetTimestamp();
        TimeSpan? wait;
        var isFirstRefused = false;
        lock (_locks[set % Locks])
        {
            var places = _places.Value.AsSpan(set * Ways, Ways);
            ref var place = ref places[Find(places, key, now)];
            if (place.Count == 0 || place.Key != key || time.GetElapsedTime(place.Since, now) >= Window)
            {
                place = new Place { Key = key, Since = now };
            }
            if (place.Count < max)
            {
                // The minute of refusal starts with the last key that was allowed.
                if (++place.Count == max) place.Since = now;
                return null;
            }
            isFirstRefused = !place.IsLogged;
            place.IsLogged = true;
            wait = Window - time.GetElapsedTime(place.Since, now);
        }
        metrics.Refused();
        // Once for each address and minute. The network, not the key.
        if (isFirstRefused) AccessLog.TooManyWrongKeys(logger, Describe(address), max);
        return new AuthenticationResult(null, new GatewayError(ErrorCode.RateLimitExceeded,
            "Too many wrong API keys came from this address. Unknown keys are refused for a while; known keys keep working.")
        {
            RetryAfter = TimeSpan.FromSeconds(Math.Ceiling(wait.Value.TotalSeconds)),
            Remedy = "Check that the whole key was sent and belongs to this server, then wait as long as `retry_after_ms` says.",
        });
    }

    // The place of the address, or the one that is least worth keeping: unused or expired, else that with the fewest keys, else the oldest.
    private int Find(ReadOnlySpan<Place> places, (ulong, ulong) key, long now)
    {
        var worst = 0;
        for (var i = 0; i < places.Length; i++)
        {
            if (places[i].Count > 0 && places[i].Key == key) return i;
            var (left, right) = (Worth(places[i], now), Worth(places[worst], now));
            if (left < right || (left == right && places[i].Since < places[worst].Since)) worst = i;
        }
        return worst;
    }

    private int Worth(in Place place, long now) => time.GetElapsedTime(place.Since, now) >= Window ? 0 : place.Count;

    /// <summary>An IPv4 address, or the first 64 bits of an IPv6 address: whoever has one address of a /64 has all of them.</summary>
    private static (ulong Family, ulong Bits) KeyOf(IPAddress? address)
    {
        if (address is null) return (0, 0);
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        Span<byte> bytes = stackalloc byte[16];
        return address.TryWriteBytes(bytes, out var length) && length == 4
            ? (4UL, (ulong)BinaryPrimitives.ReadUInt32BigEndian(bytes)) : (6UL, BinaryPrimitives.ReadUInt64BigEndian(bytes));
    }

    private static string Describe(IPAddress? address)
    {
        if (address is null) return "a local socket";
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        if (address.AddressFamily != AddressFamily.InterNetworkV6) return address.ToString();
        var bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return $"{new IPAddress(bytes)}/64";
    }

    private struct Place
    {
        public (ulong Family, ulong Bits) Key;
        public long Since;
        public int Count;
        public bool IsLogged;
    }
}
