using Fairlead.Configuration;

namespace Fairlead.Telemetry;

/// <summary>Export of traces and metrics.</summary>
internal sealed record TelemetryConfig
{
    internal static readonly TelemetryConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<TelemetryConfig> Keys = new(() => new TelemetryConfig(), [],
        new("otlpEndpoint", new ConfigUrl(), t => t.OtlpEndpoint, (t, v) => t with { OtlpEndpoint = (string)v },
            "OTLP endpoint for traces and metrics; no export when left out. "
            + "`OTEL_EXPORTER_OTLP_ENDPOINT` also sets it.") { NeedsRestart = true },
        new("metricsKey", ConfigTypes.Secret, t => t.MetricsKey, (t, v) => t with { MetricsKey = (string)v },
            "Key that `GET /metrics` requires, as `Authorization: Bearer`; no key is required when left out. Best written as ${NAME}."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("telemetry", Keys, c => c.Telemetry,
        "Traces and metrics.");

    /// <summary>OTLP endpoint; null for no export. OTEL_EXPORTER_OTLP_ENDPOINT also sets it.</summary>
    public string? OtlpEndpoint { get; init; }

    /// <summary>Key that <c>GET /metrics</c> requires; null for none.</summary>
    public string? MetricsKey { get; init; }

    /// <summary>Without the key.</summary>
    public override string ToString() => $"{nameof(TelemetryConfig)} {{ OtlpEndpoint = {OtlpEndpoint} }}";
}

/// <summary>The section in the whole configuration.</summary>
internal static class TelemetryConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Traces and metrics.</summary>
        public TelemetryConfig Telemetry => configuration.Section<TelemetryConfig>() ?? TelemetryConfig.Default;
    }
}
