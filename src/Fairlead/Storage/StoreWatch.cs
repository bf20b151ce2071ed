namespace Fairlead.Storage;

/// <summary>Measures how long the database has responded without a gap. Thread-safe.</summary>
internal sealed class StoreWatch(TimeProvider time)
{
    /// <summary>The database is used every second. Some seconds without a response are an outage, with or without an error.</summary>
    private static readonly TimeSpan MinGap = TimeSpan.FromSeconds(3);

    private readonly Lock _gate = new();
    private long? _since;
    private long _last;

    /// <summary>A longer time without a response is an outage.</summary>
    public static TimeSpan GapOf(TimeSpan lease) => lease / 2 is var gap && gap > MinGap ? gap : MinGap;

    /// <summary>Records a response.</summary>
    public void Responded(TimeSpan lease)
    {
        lock (_gate)
        {
            var now = time.GetTimestamp();
            if (_since is null || time.GetElapsedTime(_last, now) > GapOf(lease)) _since = now;
            _last = now;
        }
    }

    /// <summary>Records a failure.</summary>
    public void Failed()
    {
        lock (_gate) _since = null;
    }

    /// <summary>Whether it has responded for one lease: long enough for every live process to renew its leases.</summary>
    public bool HasRespondedFor(TimeSpan lease)
    {
        lock (_gate) return _since is { } since && time.GetElapsedTime(since) >= lease;
    }
}
