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
    private readonly DeploymentBreaker _breaker = new(time);
    private int _running;

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

    /// <summary>The time until a call may go there; null if one may now.</summary>
    public TimeSpan? UntilTest => _breaker.IsOpen ? _breaker.UntilTest(settings()) : null;

    /// <summary>
    /// Whether a call may go there now. While it is open, one call per interval may, as a test. The ticket must be given back.
    /// </summary>
    /// <param name="ticket">For the report of the attempt's end.</param>
    public bool TryEnter(out HealthTicket ticket)
    {
        if (_breaker.TryEnter(settings()) is { } period)
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

    internal void GiveBack() => Interlocked.Decrement(ref _running);

    internal void Responded(int period)
    {
        if (_breaker.Responded(period)) Closed();
    }

    internal void Succeeded(int period)
    {
        if (_breaker.Succeeded(settings(), period)) Closed();
    }

    internal void Failed(int period)
    {
        var config = settings();
        if (!_breaker.Failed(config, period)) return;
        RoutingLog.BreakerOpened(logger, name, config.Interval.TotalSeconds);
        changed(name);
    }

    private void Closed()
    {
        RoutingLog.BreakerClosed(logger, name);
        changed(name);
    }
}
