using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Coalescing;
using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Routing;
using Fairlead.Scheduling;
using Fairlead.Storage;
using Fairlead.Streaming;

namespace Fairlead.Server.Failover;

/// <summary>
/// The sections of the operator's configuration that decide what a client gets when a provider fails, with shorter waits and without keys
/// and probes. All other sections have their defaults, so that nothing leaves the machine.
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

    /// <summary>Longest wait before a retry.</summary>
    public static readonly TimeSpan MaxRetryDelay = TimeSpan.FromSeconds(5);

    /// <summary>Longest time between two tests of an open deployment.</summary>
    public static readonly TimeSpan MaxBreakerInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>Sections of the operator's configuration that are tested. Everything else has its default.</summary>
    public static readonly IReadOnlyList<string> Kept =
        ["providers", "models", "retry", "breaker", "scheduling", "stream", "coalescing", "requests"];

    /// <summary>
    /// Sections that are not used: they name another machine or a folder, limit how much is used, answer a call without
    /// its provider, or change what it says.
    /// A new section is in neither list until somebody has decided.
    /// </summary>
    public static readonly IReadOnlyList<string> LeftOut =
    [
        "dataDirectory", "publicUrl", "drainTimeout", "storage", "redis", "server", "limits", "cache", "jobs", "files", "idempotency",
        "webhooks", "audit", "telemetry", "authentication", "contentPolicy", "storedProviders",
    ];

    /// <param name="configuration">The operator's, without errors.</param>
    /// <param name="folder">Folder for everything that is stored.</param>
    public static GatewayConfiguration Of(GatewayConfiguration configuration, string folder)
    {
        var providers = configuration.Providers.ToDictionary(entry => entry.Key, entry => Of(entry.Value), StringComparer.Ordinal);
        var models = configuration.Models.ToDictionary(entry => entry.Key, entry => Of(entry.Value), StringComparer.Ordinal);
        var retry = configuration.Retry;
        var breaker = configuration.Breaker;
        return new GatewayConfiguration { DataDirectory = folder, DrainTimeout = TimeSpan.Zero }
            .With<IReadOnlyDictionary<string, ProviderConfig>>(providers)
            .With<IReadOnlyDictionary<string, ModelConfig>>(models)
            .With(retry with { BaseDelay = Min(retry.BaseDelay, MaxBaseDelay), MaxDelay = Min(retry.MaxDelay, MaxRetryDelay) })
            .With(breaker with { Interval = Min(breaker.Interval, MaxBreakerInterval) })
            .With(configuration.Scheduling)
            .With(configuration.Stream)
            .With(configuration.Coalescing)
            .With(configuration.Requests)
            .With(StorageConfig.Default with { Provider = StorageConfig.Sqlite });
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
        // A probe would be the first request of a case, or one too many.
        Deployments = [.. model.Deployments.Select(deployment => deployment with
        {
            Probe = null,
            Timeouts = deployment.Timeouts is { } timeouts ? Of(timeouts) : null,
        })],
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
