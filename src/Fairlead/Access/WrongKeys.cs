using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Fairlead.Configuration;
using Fairlead.Errors;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>
/// Counts wrong keys by address. An address that sent too many within a minute gets 429 for unknown keys during the next minute. Only
/// requests with an unknown key come here, so known keys cost nothing and keep working. Thread-safe; the memory has a fixed size.
/// </summary>
internal sealed class WrongKeys(
    IConfigurationSource configuration, AccessMetrics metrics, TimeProvider time, ILogger<WrongKeys> logger)
{
    internal static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    /// <summary>
    /// Signatures of tokens that are verified in a second for an address that is refused: enough for the new tokens of others behind it,
    /// and far less than a processor can do.
    /// </summary>
    internal const int MaxVerifications = 10;

    private static readonly TimeSpan VerificationWindow = TimeSpan.FromSeconds(1);

    // An address can be in the places of its set only, so a look-up is short. The last place of a set counts all addresses that have no
    // place, while every other one is that of a refused address. 18,432 places of 56 bytes.
    private const int Ways = 8;
    private const int Sets = 2048;
    private const int Locks = 64;

    private readonly Lazy<Place[]> _places = new(() => new Place[Sets * (Ways + 1)]);
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
        var set = SetOf(key);
        var now = time.GetTimestamp();
        TimeSpan wait;
        bool isFirstRefused, isShared;
        lock (_locks[set % Locks])
        {
            var places = PlacesOf(set);
            var index = Find(places, key, now, max);
            isShared = index == Ways;
            ref var place = ref places[index];
            if (!IsLive(place, now) || (!isShared && place.Key != key)) place = new Place { Key = key, Since = now };
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
        if (isFirstRefused) AccessLog.TooManyWrongKeys(logger, isShared ? "many addresses" : Describe(address), max);
        return Refusal(wait);
    }

    /// <summary>Whether a token must not be verified now, because its address is refused and had enough of them verified in this second.</summary>
    /// <returns>The refusal; null if the token is to be verified.</returns>
    public AuthenticationResult? RefusesVerification(IPAddress? address)
    {
        var max = configuration.Current.Authentication.WrongKeysPerMinute;
        if (max == 0 || !_places.IsValueCreated) return null;
        var key = KeyOf(address);
        var set = SetOf(key);
        var now = time.GetTimestamp();
        lock (_locks[set % Locks])
        {
            var places = PlacesOf(set);
            var index = Find(places, key, now, max);
            ref var place = ref places[index];
            if (!IsBlocked(place, now, max) || (index < Ways && place.Key != key)) return null;
            if (place.Verifications == 0 || time.GetElapsedTime(place.VerificationsSince, now) >= VerificationWindow)
                (place.Verifications, place.VerificationsSince) = (0, now);
            if (place.Verifications < MaxVerifications)
            {
                place.Verifications++;
                return null;
            }
        }
        metrics.Refused();
        return Refusal(VerificationWindow);
    }

    private static AuthenticationResult Refusal(TimeSpan wait) => new(null, new GatewayError(ErrorCode.RateLimitExceeded,
        "Too many wrong API keys came from this address. Unknown keys are refused for a while; known keys keep working.")
    {
        RetryAfter = TimeSpan.FromSeconds(Math.Ceiling(wait.TotalSeconds)),
        Remedy = "Check that the whole key was sent and belongs to this server, then wait as long as `retry_after_ms` says.",
    });

    private static int SetOf((ulong, ulong) key) => (key.GetHashCode() & int.MaxValue) % Sets;

    private Span<Place> PlacesOf(int set) => _places.Value.AsSpan(set * (Ways + 1), Ways + 1);

    // The place of the address, or the one that is least worth keeping: unused or expired, else that with the fewest keys, else the oldest.
    // That of a refused address is never taken away: whoever has many addresses could free one that way.
    private int Find(ReadOnlySpan<Place> places, (ulong, ulong) key, long now, int max)
    {
        var worst = Ways;
        for (var i = 0; i < Ways; i++)
        {
            if (places[i].Count > 0 && places[i].Key == key) return i;
            if (IsBlocked(places[i], now, max)) continue;
            if (worst == Ways)
            {
                worst = i;
                continue;
            }
            var (left, right) = (Worth(places[i], now), Worth(places[worst], now));
            if (left < right || (left == right && places[i].Since < places[worst].Since)) worst = i;
        }
        return worst;
    }

    private bool IsLive(in Place place, long now) => place.Count > 0 && time.GetElapsedTime(place.Since, now) < Window;

    private bool IsBlocked(in Place place, long now, int max) => place.Count >= max && IsLive(place, now);

    private int Worth(in Place place, long now) => IsLive(place, now) ? place.Count : 0;

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
        public long VerificationsSince;
        public int Verifications;
        public int Count;
        public bool IsLogged;
    }
}
