using Fairlead.Configuration;

namespace Fairlead.Telemetry;

/// <summary>Export of traces and metrics.</summary>
public sealed record TelemetryConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<TelemetryConfig> Keys = new(() => new TelemetryConfig(), [],
        new("otlpEndpoint", new ConfigUrl(), t => t.OtlpEndpoint, (t, v) => t with { OtlpEndpoint = (string)v },
            "Where traces and metrics are sent by OTLP; nowhere when left out. `OTEL_EXPORTER_OTLP_ENDPOINT` sets it too.") { NeedsRestart = true },
        new("metricsKey", ConfigTypes.Secret, t => t.MetricsKey, (t, v) => t with { MetricsKey = (string)v },
            "Key that `GET /metrics` asks for, as `Authorization: Bearer`; nobody is asked when left out. Best written as ${NAME}."));

    /// <summary>OTLP endpoint; null when nothing is exported. OTEL_EXPORTER_OTLP_ENDPOINT sets it too.</summary>
    public string? OtlpEndpoint { get; init; }

    /// <summary>Key that <c>GET /metrics</c> asks for; null for none.</summary>
    public string? MetricsKey { get; init; }

    /// <summary>Without the key.</summary>
    public override string ToString() => $"{nameof(TelemetryConfig)} {{ OtlpEndpoint = {OtlpEndpoint} }}";
}
