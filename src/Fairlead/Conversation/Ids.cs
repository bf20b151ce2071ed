using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace Fairlead.Conversation;

/// <summary>
/// Makes ids: a prefix and a ULID in Crockford base 32: 48 bits of milliseconds, 16 that count within one, 64 random bits. Ids sort
/// by time, and those of one process in the order in which they were made. When the clock goes back a little, they go on from the last
/// one. After a clock that was far ahead was set right, they have the right time again, because a record is searched for at the time of its
/// id. Thread-safe.
/// </summary>
internal static class Ids
{
    private const string Alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /// <summary>How far the clock may go back, in milliseconds, while the ids go on from the last one.</summary>
    internal const long MaxLead = 60_000;

    /// <summary>Milliseconds and count of the last id by the clock of the system.</summary>
    private static long _last;

    /// <summary>The same by other clocks, such as those of tests: one that is ahead must not move the ids of another.</summary>
    private static readonly ConditionalWeakTable<TimeProvider, StrongBox<long>> Others = [];

    [ThreadStatic]
    private static byte[]? _entropy;

    [ThreadStatic]
    private static int _used;

    /// <param name="prefix">Such as <c>gen_</c>.</param>
    /// <param name="time">Gives the time part.</param>
    public static string New(string prefix, TimeProvider time) =>
        string.Create(prefix.Length + 26, (prefix, Next(time)), static (chars, state) =>
        {
            state.prefix.CopyTo(chars);
            var ulid = chars[state.prefix.Length..];
            var ms = state.Item2 >> 16;
            for (var i = 9; i >= 0; i--, ms >>= 5) ulid[i] = Alphabet[(int)(ms & 31)];
            Span<byte> random = stackalloc byte[16];
            Draw(random[2..10]);
            BinaryPrimitives.WriteUInt16BigEndian(random, (ushort)state.Item2);
            var high = BinaryPrimitives.ReadUInt64BigEndian(random);
            var low = BinaryPrimitives.ReadUInt16BigEndian(random[8..]);
            // 80 bits are sixteen letters of five: twelve and four bits from the first word, the rest from the second.
            for (var i = 0; i < 12; i++) ulid[10 + i] = Alphabet[(int)(high >> (59 - (5 * i))) & 31];
            var rest = ((uint)(high & 0xF) << 16) | low;
            for (var i = 0; i < 4; i++) ulid[22 + i] = Alphabet[(int)(rest >> (15 - (5 * i))) & 31];
        });

    /// <summary>
    /// The id of another kind with the same ULID as <paramref name="id"/>: which generation a request began can be read off.
    /// </summary>
    public static string Sibling(string prefix, string id) =>
        string.Concat(prefix, id.AsSpan(id.IndexOf('_', StringComparison.Ordinal) + 1));

    /// <summary>When the id was made, to the millisecond; null if it is no id with this prefix.</summary>
    public static DateTimeOffset? TimeOf(string prefix, string id)
    {
        if (id.Length != prefix.Length + 26 || !id.StartsWith(prefix, StringComparison.Ordinal)) return null;
        var ms = 0L;
        for (var i = 0; i < 26; i++)
        {
            var digit = Alphabet.IndexOf(id[prefix.Length + i], StringComparison.Ordinal);
            if (digit < 0) return null;
            if (i < 10) ms = (ms << 5) | (uint)digit;
        }
        // Times after the year 9000 are none.
        return ms <= 221_845_392_000_000 ? DateTimeOffset.FromUnixTimeMilliseconds(ms) : null;
    }

    /// <summary>Before all ids with this prefix that were made at this time or later, and after all others.</summary>
    public static string FirstAt(string prefix, DateTimeOffset at) =>
        string.Create(prefix.Length + 26, (prefix, at.ToUnixTimeMilliseconds()), static (chars, state) =>
        {
            state.prefix.CopyTo(chars);
            var ulid = chars[state.prefix.Length..];
            ulid.Fill(Alphabet[0]);
            var ms = state.Item2;
            for (var i = 9; i >= 0; i--, ms >>= 5) ulid[i] = Alphabet[(int)(ms & 31)];
        });

    private static long Next(TimeProvider time)
    {
        var ms = time.GetUtcNow().ToUnixTimeMilliseconds();
        if (time == TimeProvider.System) return Next(ref _last, ms);
        return Next(ref Others.GetValue(time, static _ => new StrongBox<long>()).Value, ms);
    }

    /// <summary>Milliseconds and count of the next id. A count that is full runs over into the milliseconds.</summary>
    private static long Next(ref long counter, long ms)
    {
        while (true)
        {
            var last = Volatile.Read(ref counter);
            var next = (last >> 16) - ms > MaxLead ? ms << 16 : Math.Max(ms << 16, last + 1);
            if (Interlocked.CompareExchange(ref counter, next, last) == last) return next;
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
