using Microsoft.Extensions.Logging;

namespace Fairlead.Routing;

/// <summary>What this node has learned about one deployment from its traffic. Thread-safe.</summary>
/// <param name="name">Name of the deployment.</param>
/// <param name="settings">The settings in force.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">For openings and closings.</param>
/// <param name="changed">Called with the name after the breaker opened or closed.</param>
internal sealed class DeploymentHealth(
    string name, Func<BreakerConfig> settings, TimeProvider time, ILogger logger, Action<string> changed)
{
    /// <summary>Stated as the time until a probe that is due but not made yet.</summary>
    internal static readonly TimeSpan Overdue = TimeSpan.FromSeconds(1);

    private readonly DeploymentBreaker _breaker = new(time);
    private int _running;

    // 0 for none.
    private long _nextProbe;

    /// <summary>Its retries.</summary>
    public RetryBudget Retries { get; } = new(time);

    /// <summary>Time to the first content of its streams.</summary>
    public PeakEwma FirstToken { get; } = new(time);

    /// <summary>Time of its whole responses.</summary>
    public PeakEwma Response { get; } = new(time);

    /// <summary>Attempts in progress.</summary>
    public int Running => Volatile.Read(ref _running);

    /// <summary>Whether no call goes there, apart from tests.</summary>
    public bool IsOpen => _breaker.IsOpen && settings().Enabled;

    /// <summary>When it opened; null while it is closed.</summary>
    public DateTimeOffset? OpenedAt => _breaker.OpenedAt;

    /// <summary>The time until a call may go there, or until the next probe if only probes test it; null if a call may now.</summary>
    public TimeSpan? UntilTest => !_breaker.IsOpen ? null
        : Interlocked.Read(ref _nextProbe) is not 0 and var next ? settings().Enabled ? UntilProbe(next) : null
        : _breaker.UntilTest(settings());

    /// <summary>
    /// Whether a call may go there now. While it is open, one call per interval may, as a test. The ticket must be given back.
    /// </summary>
    /// <param name="ticket">For the report of the attempt's end.</param>
    public bool TryEnter(out HealthTicket ticket)
    {
        var isLeftToProbes = Interlocked.Read(ref _nextProbe) != 0 && IsOpen;
        if (!isLeftToProbes && _breaker.TryEnter(settings()) is { } period)
        {
            Interlocked.Increment(ref _running);
            ticket = new HealthTicket(this, period);
            return true;
        }
        ticket = default;
        return false;
    }

    /// <summary>
    /// For an attempt that says nothing about other calls: it neither tests an open breaker nor counts. The ticket must be given back.
    /// </summary>
    public HealthTicket EnterUncounted()
    {
        Interlocked.Increment(ref _running);
        return new HealthTicket(this, DeploymentBreaker.NoPeriod);
    }

    /// <summary>For a probe, which always passes. The ticket must be given back.</summary>
    public HealthTicket EnterProbe()
    {
        Interlocked.Increment(ref _running);
        return new HealthTicket(this, _breaker.Period, isProbe: true);
    }

    /// <summary>Probes test it from now on, and no calls do.</summary>
    /// <param name="next">Timestamp of the next one; null if it is no longer probed.</param>
    public void ProbedAt(long? next) => Interlocked.Exchange(ref _nextProbe, next ?? 0);

    private TimeSpan UntilProbe(long next)
    {
        var left = time.GetElapsedTime(time.GetTimestamp(), next);
        return left > TimeSpan.Zero ? left : Overdue;
    }

    internal void GiveBack() => Interlocked.Decrement(ref _running);

    internal void Responded(int period)
    {
        if (_breaker.Responded(period)) Closed();
    }

    internal void Succeeded(int period, bool isProbe)
    {
        if (isProbe ? _breaker.ProbeSucceeded(period) : _breaker.Succeeded(settings(), period)) Closed();
    }

    internal void Failed(int period, bool isProbe)
    {
        var config = settings();
        if (!_breaker.Failed(config, period, isProbe)) return;
        RoutingLog.BreakerOpened(logger, name, config.Interval.TotalSeconds);
        changed(name);
    }

    private void Closed()
    {
        RoutingLog.BreakerClosed(logger, name);
        changed(name);
    }
}
