namespace Fairlead.Routing;

/// <summary>
/// The circuit breaker of one deployment. Closed: calls pass, and it opens after several failures in a row or at a high error rate. Open: no
/// call passes, except one per interval as a test. A test that gets a response closes it. Thread-safe; a call that passes a closed breaker
/// and succeeds takes no lock.
/// </summary>
/// <remarks>
/// Tests are limited by time, not by the end of the last one, so a test that never ends delays no other, and one that is abandoned leaves
/// nothing behind. Every opening and closing starts a new period; only attempts of the current period count. Otherwise an attempt that hung
/// since before the outage would open the breaker again after it.
/// </remarks>
internal sealed class DeploymentBreaker(TimeProvider time)
{
    /// <summary>A period in which nothing counts: it is never the current one, and no test.</summary>
    public const int NoPeriod = int.MinValue;

    private readonly Lock _gate = new();
    private int _period;
    private int _failures;
    private int _failedProbes;
    private long _nextTest;
    private long _openedAt;
    private RollingCounts? _attempts;

    /// <summary>Whether no call may pass, apart from tests.</summary>
    public bool IsOpen => IsTest(Volatile.Read(ref _period));

    /// <summary>The current period, for an attempt that may always pass.</summary>
    public int Period => Volatile.Read(ref _period);

    /// <summary>When it opened; null while it is closed.</summary>
    public DateTimeOffset? OpenedAt => IsOpen ? new DateTimeOffset(Interlocked.Read(ref _openedAt), TimeSpan.Zero) : null;

    /// <summary>The time until a call may pass; null if one may pass now.</summary>
    public TimeSpan? UntilTest(BreakerConfig config)
    {
        if (!IsOpen || !config.Enabled) return null;
        var (now, due) = (time.GetTimestamp(), Interlocked.Read(ref _nextTest));
        return now >= due ? null : time.GetElapsedTime(now, due);
    }

    /// <summary>
    /// The period in which the call passes, for the report of its attempt's end; null if it may not pass. A test is used up even if it is
    /// never reported.
    /// </summary>
    public int? TryEnter(BreakerConfig config)
    {
        var period = Volatile.Read(ref _period);
        if (!IsTest(period) || !config.Enabled) return period;
        var due = Interlocked.Read(ref _nextTest);
        var now = time.GetTimestamp();
        if (now < due) return null;
        return Interlocked.CompareExchange(ref _nextTest, now + Ticks(config.Interval), due) == due ? period : null;
    }

    /// <summary>An attempt got its response. True if that closed the breaker.</summary>
    /// <param name="config">The settings in force.</param>
    /// <param name="period">As the attempt passed.</param>
    public bool Succeeded(BreakerConfig config, int period)
    {
        if (IsTest(period)) return Close(period);
        if (Volatile.Read(ref _period) != period || !config.Enabled) return false;
        if (Volatile.Read(ref _failures) != 0) Volatile.Write(ref _failures, 0);
        if (Volatile.Read(ref _failedProbes) != 0) Volatile.Write(ref _failedProbes, 0);
        Attempts(config).Add();
        return false;
    }

    /// <summary>
    /// A probe got its response. True if that closed the breaker. Otherwise it ends a row of failed probes, but not of failed attempts,
    /// which it must not hide.
    /// </summary>
    /// <param name="period">As the probe passed.</param>
    public bool ProbeSucceeded(int period)
    {
        if (IsTest(period)) return Close(period);
        if (Volatile.Read(ref _period) == period) Volatile.Write(ref _failedProbes, 0);
        return false;
    }

    /// <summary>A test got the start of its response, which closes the breaker. True if it did.</summary>
    /// <param name="period">As the attempt passed.</param>
    public bool Responded(int period) => IsTest(period) && Close(period);

    /// <summary>An attempt failed by the fault of the deployment. True if that opened the breaker.</summary>
    /// <param name="config">The settings in force.</param>
    /// <param name="period">As the attempt passed.</param>
    /// <param name="isProbe">Whether it is a probe, which does not count in the error rate.</param>
    public bool Failed(BreakerConfig config, int period, bool isProbe = false)
    {
        if (!config.Enabled) return false;
        lock (_gate)
        {
            // The next test is due at its time, whatever happened to this one.
            if (_period != period || IsTest(period)) return false;
            if (isProbe) _failedProbes++;
            else _failures++;
            if (_failures + _failedProbes < config.Failures && (isProbe || !IsRateExceeded(config))) return false;
            Interlocked.Exchange(ref _nextTest, time.GetTimestamp() + Ticks(config.Interval));
            Interlocked.Exchange(ref _openedAt, time.GetUtcNow().UtcTicks);
            Volatile.Write(ref _period, period + 1);
            return true;
        }
    }

    private bool Close(int period)
    {
        lock (_gate)
        {
            if (_period != period) return false;
            (_failures, _failedProbes) = (0, 0);
            _attempts = null;
            Volatile.Write(ref _period, period + 1);
            return true;
        }
    }

    // Counts a failed attempt.
    private bool IsRateExceeded(BreakerConfig config)
    {
        var attempts = Attempts(config);
        attempts.Add();
        attempts.Mark();
        var (all, failed) = attempts.Totals();
        return all >= config.MinimumAttempts && failed >= config.ErrorRate * all;
    }

    // A reload may change the window; then the measurement starts again.
    private RollingCounts Attempts(BreakerConfig config)
    {
        var attempts = Volatile.Read(ref _attempts);
        if (attempts is null || attempts.Window != config.Window)
        {
            attempts = new RollingCounts(config.Window, time);
            Volatile.Write(ref _attempts, attempts);
        }
        return attempts;
    }

    private long Ticks(TimeSpan span) => (long)(span.TotalSeconds * time.TimestampFrequency);

    // Periods alternate: even ones are closed, odd ones open.
    internal static bool IsTest(int period) => (period & 1) != 0;
}
