using System.Security.Cryptography;
using System.Text;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Telemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using IConfigurationSource = Fairlead.Configuration.IConfigurationSource;

namespace Fairlead.Server.Hosting;

/// <summary>
/// Export of traces and metrics: <c>/metrics</c> always, OTLP if an endpoint is configured. Without one, traces cost nothing.
/// </summary>
internal static class TelemetryExport
{
    private static readonly string[] Meters = [GatewayTelemetry.Name, "Microsoft.AspNetCore.Hosting",
        "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime"];

    public static void AddTelemetryExport(this WebApplicationBuilder builder, ConfigurationInput input)
    {
        // The configuration source reports configuration errors; here they mean that there is no export.
        var endpoint = ConfigurationReader.Read(input, ConfigurationSections.BuiltIn).Configuration?.Telemetry.OtlpEndpoint;
        var telemetry = builder.Services.AddOpenTelemetry()
            // The operator's OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come last, and so have precedence.
            .ConfigureResource(resource => resource.AddService("fairlead", serviceVersion: ProductVersion.Text)
                .AddEnvironmentVariableDetector())
            .WithMetrics(metrics =>
            {
                // fairlead.calls.active already counts running calls.
                metrics.AddMeter(Meters).AddView("http.server.active_requests", MetricStreamConfiguration.Drop).AddPrometheusExporter();
                if (endpoint is not null) metrics.AddOtlpExporter(options => Direct(options, endpoint, "v1/metrics"));
            });
        if (endpoint is null) return;
        telemetry.WithTracing(tracing => tracing
            .AddSource(GatewayTelemetry.Name, "Microsoft.AspNetCore", "System.Net.Http")
            .AddOtlpExporter(options => Direct(options, endpoint, "v1/traces")));
    }

    public static void MapMetrics(this IEndpointRouteBuilder endpoints)
    {
        // The gauges exist from the start, not from the first call.
        endpoints.ServiceProvider.GetRequiredService<GatewayTelemetry>();
        var configuration = endpoints.ServiceProvider.GetRequiredService<IConfigurationSource>();
        endpoints.MapPrometheusScrapingEndpoint("/metrics").Add(endpoint =>
        {
            var scrape = endpoint.RequestDelegate!;
            endpoint.RequestDelegate = context => RefusalOf(context, configuration.Current.Telemetry.MetricsKey) is { } refusal
                ? ErrorResponses.WriteAsync(context, refusal, ErrorShape.Problem) : scrape(context);
        });
    }

    private static GatewayError? RefusalOf(HttpContext context, string? key)
    {
        if (key is null) return null;
        var presented = PresentedKey.Of(context.Request.Headers);
        if (presented.Text.IsEmpty)
        {
            return new GatewayError(ErrorCode.MissingApiKey,
                "The metrics of this server require a key.") { Remedy = "Send the key of telemetry.metricsKey as Authorization: Bearer." };
        }

        // Compare hashes, so that the time reveals nothing of the key or its length.
        return CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(presented.Text.ToString())),
            SHA256.HashData(Encoding.UTF8.GetBytes(key)))
            ? null
            : new GatewayError(ErrorCode.InvalidApiKey,
                "This is not the key of this server's metrics.")
            {
                Remedy = "Send the key of telemetry.metricsKey as Authorization: Bearer.",
            };
    }

    // An endpoint that is set in code is used unchanged, without the signal path that HTTP requires.
    private static void Direct(OtlpExporterOptions options, string endpoint, string path) =>
        options.Endpoint = new Uri(options.Protocol == OtlpExportProtocol.HttpProtobuf ? $"{endpoint.TrimEnd('/')}/{path}" : endpoint);
}
