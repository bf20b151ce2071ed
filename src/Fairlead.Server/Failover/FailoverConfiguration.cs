using Fairlead.Access;
using Fairlead.Auditing;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Files;
using Fairlead.Http;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Providers;
using Fairlead.Routing;
using Fairlead.Storage;
using Fairlead.Telemetry;

namespace Fairlead.Server.Failover;

/// <summary>
/// The operator's configuration with everything replaced that leaves the machine or takes long. Models, deployments, strategies, retries,
/// breakers, queues and streams stay as they are.
/// </summary>
internal static class FailoverConfiguration
{
    /// <summary>Timeouts are at most these, so that a silent provider is noticed soon.</summary>
    public static readonly ProviderTimeouts MaxTimeouts = new()
    {
        Connect = TimeSpan.FromSeconds(2),
        FirstToken = TimeSpan.FromSeconds(2),
        StreamIdle = TimeSpan.FromSeconds(2),
        Response = TimeSpan.FromSeconds(3),
        Total = TimeSpan.FromSeconds(15),
    };

    /// <summary>Longest first wait before a retry.</summary>
    public static readonly TimeSpan MaxBaseDelay = TimeSpan.FromMilliseconds(50);

    /// <summary>Longest time between two tests of an open deployment.</summary>
    public static readonly TimeSpan MaxBreakerInterval = TimeSpan.FromMilliseconds(500);

    /// <param name="configuration">The operator's, without errors.</param>
    /// <param name="folder">Folder for everything that is stored.</param>
    public static GatewayConfiguration Of(GatewayConfiguration configuration, string folder)
    {
        var providers = configuration.Providers.ToDictionary(entry => entry.Key, entry => Of(entry.Value), StringComparer.Ordinal);
        var models = configuration.Models.ToDictionary(entry => entry.Key, entry => Of(entry.Value), StringComparer.Ordinal);
        var retry = configuration.Retry;
        var breaker = configuration.Breaker;
        return (configuration with { DataDirectory = folder, PublicUrl = null, DrainTimeout = TimeSpan.Zero })
            .With<IReadOnlyDictionary<string, ProviderConfig>>(providers)
            .With<IReadOnlyDictionary<string, ModelConfig>>(models)
            .With(retry with { BaseDelay = Min(retry.BaseDelay, MaxBaseDelay) })
            .With(breaker with { Interval = Min(breaker.Interval, MaxBreakerInterval) })
            .With(StorageConfig.Default with { Provider = StorageConfig.Sqlite })
            .With(new RedisConfig())
            .With(new ServerConfig())
            .With(new FilesConfig())
            .With(new AuditConfig())
            .With(new TelemetryConfig())
            .With(configuration.Limits with { Defaults = LimitSet.None });
    }

    private static ProviderConfig Of(ProviderConfig provider) => provider with
    {
        // As many keys as there are, and none of them.
        ApiKey = provider.ApiKey is null ? null : "simulated-key",
        ApiKeys = [.. provider.ApiKeys.Select((_, i) => $"simulated-key-{i + 1}")],
        Headers = provider.Headers.ToDictionary(header => header.Key, _ => "simulated", StringComparer.OrdinalIgnoreCase),
        Timeouts = Of(provider.Timeouts),
    };

    private static ModelConfig Of(ModelConfig model) => model with
    {
        Limits = LimitSet.None,
        Deployments = [.. model.Deployments.Select(deployment => deployment.Timeouts is { } timeouts
            ? deployment with { Timeouts = Of(timeouts) } : deployment)],
    };

    private static ProviderTimeouts Of(ProviderTimeouts timeouts) => new()
    {
        Connect = Min(timeouts.Connect, MaxTimeouts.Connect),
        FirstToken = Min(timeouts.FirstToken, MaxTimeouts.FirstToken),
        StreamIdle = Min(timeouts.StreamIdle, MaxTimeouts.StreamIdle),
        Response = Min(timeouts.Response, MaxTimeouts.Response),
        Total = Min(timeouts.Total, MaxTimeouts.Total),
    };

    private static TimeSpan Min(TimeSpan one, TimeSpan other) => one < other ? one : other;
}
