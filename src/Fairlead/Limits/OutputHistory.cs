using System.Numerics;

namespace Fairlead.Limits;

/// <summary>
/// The output tokens that one key got from one model, as a histogram whose buckets are at most a quarter wider than the value at their
/// start. Older responses count less and less. Thread-safe.
/// </summary>
internal sealed class OutputHistory
{
    /// <summary>Before so many responses, the history is not used.</summary>
    public const int MinResponses = 10;

    private const int MaxResponses = 256;
    private const int Buckets = 96;

    private readonly Lock _gate = new();
    private readonly ushort[] _counts = new ushort[Buckets];
    private int _total;
    private int _seen;
    private long _p90;

    /// <summary>Whether it was used since the last sweep.</summary>
    public bool IsRecent { get; set; } = true;

    /// <summary>The number of tokens that 90 % of the responses do not exceed; null before <see cref="MinResponses"/>.</summary>
    public long? P90 => Volatile.Read(ref _p90) is > 0 and var tokens ? tokens : null;

    public void Add(long tokens)
    {
        if (tokens <= 0) return;
        lock (_gate)
        {
            _counts[IndexOf(tokens)]++;
            if (_seen < MinResponses) _seen++;
            if (++_total >= MaxResponses) Halve();
            if (_seen >= MinResponses) Volatile.Write(ref _p90, Percentile());
        }
    }

    private void Halve()
    {
        _total = 0;
        for (var i = 0; i < Buckets; i++) _total += _counts[i] /= 2;
    }

    private long Percentile()
    {
        var above = _total / 10;
        for (var i = Buckets - 1; i > 0; i--)
        {
            above -= _counts[i];
            if (above < 0) return EndOf(i);
        }
        return 1;
    }

    // Four buckets for each power of two.
    private static int IndexOf(long tokens)
    {
        var power = BitOperations.Log2((ulong)tokens);
        var quarter = power >= 2 ? (int)(tokens >> (power - 2)) & 3 : (int)(tokens << (2 - power)) & 3;
        return Math.Min(Buckets - 1, (power * 4) + quarter);
    }

    // The largest value of a bucket.
    private static long EndOf(int index) => Math.Max(1, ((((4L + (index & 3) + 1) << (index >> 2)) + 3) >> 2) - 1);
}
