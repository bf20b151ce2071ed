using System.Diagnostics.Metrics;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>Counts the calls that limits refuse. Its tags have few values: no ids of keys, projects or organizations. Thread-safe.</summary>
internal sealed class LimitsMetrics(IMeterFactory meters)
{
    private readonly Counter<long> _refusals = meters.Create("Fairlead").CreateCounter<long>(
        "fairlead.limits.refusals", "{call}", "Calls that a limit refused, by the limit with the longest wait.");

    /// <summary>Counts a refused call, if <paramref name="error"/> names a limit.</summary>
    public void Refused(GatewayCall call, GatewayError error)
    {
        if (!_refusals.Enabled || TextOf(error, "name") is not { } name || TextOf(error, "scope") is not { } scope) return;
        _refusals.Add(1, new("fairlead.limit", name), new("fairlead.limit.scope", scope), new("fairlead.model", call.Model.Id));
    }

    private static string? TextOf(GatewayError error, string member) =>
        error.Details?[member] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}
