using System.Diagnostics.Metrics;
using Fairlead.Telemetry;

namespace Fairlead.Routing;

/// <summary>Health of the deployments. Thread-safe.</summary>
internal sealed class RoutingMetrics : IDisposable
{
    private readonly Meter _meter;
    private readonly Counter<long> _probes;

    public RoutingMetrics(IMeterFactory meters)
    {
        _meter = meters.Create(GatewayTelemetry.Name);
        _probes = _meter.CreateCounter<long>("fairlead.deployment.probes", "{probe}", "Probes of deployments by their result.");
    }

    /// <summary>Counts a probe.</summary>
    public void Probed(string deployment, HealthVerdict verdict) => _probes.Add(1, new("fairlead.deployment", deployment),
        new("fairlead.probe.result", verdict switch { HealthVerdict.Works => "works", HealthVerdict.Failed => "failed", _ => "unknown" }));

    /// <summary>Shows the breakers.</summary>
    /// <param name="read">Names of deployments, and whether they are open. Thread-safe.</param>
    public void Show(Func<IEnumerable<(string Name, bool IsOpen)>> read) => _meter.CreateObservableGauge("fairlead.breaker.open",
        () => read().Select(state => new Measurement<int>(state.IsOpen ? 1 : 0, new KeyValuePair<string, object?>("fairlead.deployment",
            state.Name))),
        "{deployment}", "1 while the circuit breaker of a deployment is open, else 0.");

    /// <summary>Shows the states that operators have set.</summary>
    /// <param name="read">Names of the deployments of the catalogue, and whether they are drained. Thread-safe.</param>
    public void ShowStates(Func<IEnumerable<(string Name, bool IsDrained)>> read) => _meter.CreateObservableGauge(
        "fairlead.deployment.drained",
        () => read().Select(state => new Measurement<int>(state.IsDrained ? 1 : 0, new KeyValuePair<string, object?>("fairlead.deployment",
            state.Name))),
        "{deployment}", "1 while an operator has drained a deployment, else 0.");

    public void Dispose() => _meter.Dispose();
}
