namespace Fairlead.Storage;

/// <summary>
/// A clock that changes of the system's clock do not affect: the time of day at its start, plus the elapsed time. For leases and pauses in
/// a database that only this process uses. Immutable and thread-safe.
/// </summary>
internal sealed class SteadyClock(TimeProvider time)
{
    private readonly DateTimeOffset _start = time.GetUtcNow();
    private readonly long _since = time.GetTimestamp();

    public DateTimeOffset UtcNow => _start + time.GetElapsedTime(_since);

    /// <summary>
    /// The later of this clock and the system's clock, which may have been set back. For rows with times of the system's clock.
    /// </summary>
    public DateTimeOffset Latest
    {
        get
        {
            var (steady, now) = (UtcNow, time.GetUtcNow());
            return now > steady ? now : steady;
        }
    }
}
