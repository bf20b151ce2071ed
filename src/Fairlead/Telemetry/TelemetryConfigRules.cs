using Fairlead.Configuration;

namespace Fairlead.Telemetry;

/// <summary>The OTLP endpoint of the environment.</summary>
internal sealed class TelemetryConfigRules : ConfigRules
{
    private const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    public override void AddFromEnvironment(ConfigMap fairlead, IReadOnlyDictionary<string, string> environment)
    {
        if (!environment.TryGetValue(EndpointVariable, out var endpoint) || endpoint.Length == 0) return;
        fairlead.Section("telemetry")?.TryAdd("otlpEndpoint", new ConfigScalar(endpoint, new(EndpointVariable)));
    }
}
