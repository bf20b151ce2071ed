namespace Fairlead.Storage;

/// <summary>
/// The time since this process asked first, added to the time of day it was then: no change of the system's clock moves it. For leases and pauses
/// of a database that only this process works on. Immutable and thread-safe.
/// </summary>
internal sealed class SteadyClock(TimeProvider time)
{
    private readonly DateTimeOffset _start = time.GetUtcNow();
    private readonly long _since = time.GetTimestamp();

    public DateTimeOffset UtcNow => _start + time.GetElapsedTime(_since);

    /// <summary>The time of day, unless the system's clock was set back since; then this one. For rows whose times others wrote by the system's clock.</summary>
    public DateTimeOffset Latest
    {
        get
        {
            var (steady, now) = (UtcNow, time.GetUtcNow());
            return now > steady ? now : steady;
        }
    }
}
