using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Routing;
using Fairlead.Streaming;

namespace Fairlead.Server.Failover;

/// <summary>A model of the configuration, and what its settings promise. Immutable; thread-safe.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Deployments">Its deployments.</param>
internal sealed record FailoverTarget(string Name, int Deployments)
{
    /// <summary>What a machine under load needs beside the waits of the configuration.</summary>
    private static readonly TimeSpan Slack = TimeSpan.FromSeconds(12);

    /// <summary>Names that a response may have as its model; empty for any.</summary>
    public IReadOnlySet<string> ReportedModels { get; init; } = new HashSet<string>();

    /// <summary>Whether a stream that is lost at any of its deployments must be continued by another.</summary>
    public bool CanRescue { get; init; }

    /// <summary>Whether a request that is too long must be served by a larger model.</summary>
    public bool HasLargerModel { get; init; }

    /// <summary>Whether a request that a content policy rejects must be served by another deployment.</summary>
    public bool FailsOverContentRejections { get; init; }

    /// <summary>The time in which each call must have its end.</summary>
    public TimeSpan Limit { get; init; } = FailoverClient.Limit;

    /// <summary>What the configuration promises for a model.</summary>
    /// <param name="configuration">The configuration.</param>
    /// <param name="models">All models.</param>
    /// <param name="model">One of them.</param>
    public static FailoverTarget Of(GatewayConfiguration configuration, IReadOnlyList<CatalogueModel> models, CatalogueModel model)
    {
        var larger = model.OnOverflow is { } name ? models.FirstOrDefault(each => each.Id == name || each.Aliases.Contains(name)) : null;
        if (larger is not null && !IsLarger(larger, model)) larger = null;
        return new FailoverTarget(model.Id, model.Deployments.Count)
        {
            ReportedModels = NamesOf(model).Concat(larger is null ? [] : NamesOf(larger)).ToHashSet(StringComparer.Ordinal),
            CanRescue = CanRescueAll(configuration, model),
            // The primary deployment refuses the request under each name.
            HasLargerModel = larger is not null && !larger.Deployments.Any(one => model.Deployments.Any(other => other.Name == one.Name)),
            FailsOverContentRejections = model.FailsOverContentRejections && model.Deployments.Count > 1,
            Limit = LimitOf(configuration.Retry),
        };
    }

    private static IEnumerable<string> NamesOf(CatalogueModel model) =>
        model.Deployments.Select(deployment => deployment.ReportedModel ?? model.Id);

    private static bool IsLarger(CatalogueModel larger, CatalogueModel model) =>
        larger.Lifecycle.State != LifecycleState.Retired && model.ContextWindow is { } window && !(larger.ContextWindow <= window);

    // Providers of one kind are certain to continue each other's streams. Those of different kinds do where both speak the client's API.
    private static bool CanRescueAll(GatewayConfiguration configuration, CatalogueModel model)
    {
        var mode = configuration.Stream.MidStreamRescue;
        return mode != RescueMode.Off && model.Deployments.All(lost => model.Deployments.Any(other => other.Name != lost.Name
            && (mode == RescueMode.Any || other.UpstreamModel == lost.UpstreamModel)
            && KindOf(configuration, other) == KindOf(configuration, lost)));
    }

    private static string KindOf(GatewayConfiguration configuration, Deployment deployment) =>
        configuration.Providers.TryGetValue(deployment.ProviderName, out var provider) ? provider.Kind : deployment.ProviderName;

    // One deployment fails: with all its retries, and then with two rescues.
    private static TimeSpan LimitOf(RetryConfig retry)
    {
        var timeouts = FailoverConfiguration.MaxTimeouts;
        var attempt = timeouts.FirstToken + timeouts.StreamIdle > timeouts.Response
            ? timeouts.FirstToken + timeouts.StreamIdle : timeouts.Response;
        var limit = (attempt * (retry.MaxRetries + 3)) + Slack;
        return limit < FailoverClient.Limit ? limit : FailoverClient.Limit;
    }
}
