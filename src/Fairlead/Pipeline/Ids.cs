using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Fairlead.Pipeline;

/// <summary>
/// Makes ids: a prefix and a ULID in Crockford base 32: 48 bits of milliseconds, 16 that count within one, 64 random bits. Ids sort by time, and those
/// of one process in the order in which they were made. Thread-safe.
/// </summary>
internal static class Ids
{
    private const string Alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /// <summary>Milliseconds and count of the last id.</summary>
    private static long _last;

    [ThreadStatic]
    private static byte[]? _entropy;

    [ThreadStatic]
    private static int _used;

    /// <param name="prefix">Such as <c>gen_</c>.</param>
    /// <param name="time">Gives the time part.</param>
    public static string New(string prefix, TimeProvider time) =>
        string.Create(prefix.Length + 26, (prefix, time.GetUtcNow().ToUnixTimeMilliseconds()), static (chars, state) =>
        {
            state.prefix.CopyTo(chars);
            var ulid = chars[state.prefix.Length..];
            var ms = state.Item2;
            for (var i = 9; i >= 0; i--, ms >>= 5) ulid[i] = Alphabet[(int)(ms & 31)];
            Span<byte> random = stackalloc byte[16];
            Draw(random[..10]);
            if (CountOf(state.Item2) is { } count) BinaryPrimitives.WriteUInt16BigEndian(random, count);
            var high = BinaryPrimitives.ReadUInt64BigEndian(random);
            var low = BinaryPrimitives.ReadUInt16BigEndian(random[8..]);
            // 80 bits are sixteen letters of five: twelve and four bits from the first word, the rest from the second.
            for (var i = 0; i < 12; i++) ulid[10 + i] = Alphabet[(int)(high >> (59 - (5 * i))) & 31];
            var rest = ((uint)(high & 0xF) << 16) | low;
            for (var i = 0; i < 4; i++) ulid[22 + i] = Alphabet[(int)(rest >> (15 - (5 * i))) & 31];
        });

    /// <summary>The count of an id of this millisecond; null, for a random one, when the clock went back or there are too many.</summary>
    private static ushort? CountOf(long ms)
    {
        while (true)
        {
            var last = Volatile.Read(ref _last);
            var next = ms > last >> 16 ? ms << 16 : last + 1;
            if (next >> 16 != ms) return null;
            if (Interlocked.CompareExchange(ref _last, next, last) == last) return (ushort)next;
        }
    }

    // The system's generator costs a call into the kernel; one call serves many ids.
    private static void Draw(Span<byte> target)
    {
        _entropy ??= new byte[1024];
        if (_used == 0 || _used + target.Length > _entropy.Length)
        {
            RandomNumberGenerator.Fill(_entropy);
            _used = 0;
        }
        _entropy.AsSpan(_used, target.Length).CopyTo(target);
        _used += target.Length;
    }
}
