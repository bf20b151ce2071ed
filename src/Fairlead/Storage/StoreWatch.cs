namespace Fairlead.Storage;

/// <summary>For how long the database has answered without a gap. Thread-safe.</summary>
internal sealed class StoreWatch(TimeProvider time)
{
    /// <summary>It is asked every second; silence of some seconds is an outage, whether an error said so or not.</summary>
    private static readonly TimeSpan ShortestGap = TimeSpan.FromSeconds(3);

    private readonly Lock _gate = new();
    private long? _since;
    private long _last;

    /// <summary>Silence of more than this is an outage.</summary>
    public static TimeSpan GapOf(TimeSpan lease) => lease / 2 is var gap && gap > ShortestGap ? gap : ShortestGap;

    /// <summary>It has answered just now.</summary>
    public void Answered(TimeSpan lease)
    {
        lock (_gate)
        {
            var now = time.GetTimestamp();
            if (_since is null || time.GetElapsedTime(_last, now) > GapOf(lease)) _since = now;
            _last = now;
        }
    }

    public void Failed()
    {
        lock (_gate) _since = null;
    }

    /// <summary>Whether it has answered for one lease: long enough for every living holder to renew what it holds.</summary>
    public bool HasRespondedFor(TimeSpan lease)
    {
        lock (_gate) return _since is { } since && time.GetElapsedTime(since) >= lease;
    }
}
