using System.Collections.Concurrent;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Microsoft.Extensions.Logging;

namespace Fairlead.Routing;

/// <summary>
/// The health of all deployments, as seen by this node. Deployments are identified by name, so that health survives a reload and is shared
/// by all models that list the same deployment. Thread-safe; looking up takes no lock.
/// </summary>
internal sealed class DeploymentHealths : IBreakerStates
{
    private readonly ConcurrentDictionary<string, DeploymentHealth> _healths = new(StringComparer.Ordinal);
    private readonly IConfigurationSource _configuration;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    public DeploymentHealths(
        IConfigurationSource configuration, RoutingMetrics metrics, TimeProvider time, ILogger<DeploymentHealths> logger)
    {
        (_configuration, _time, _logger) = (configuration, time, logger);
        metrics.Show(() => _healths.Select(entry => (entry.Key, entry.Value.IsOpen)));
    }

    /// <summary>Called with the name of a deployment after its breaker opened or closed.</summary>
    public event Action<string>? Changed;

    /// <summary>Whether no call goes to a deployment, apart from tests.</summary>
    public bool IsOpen(string deployment) => _healths.TryGetValue(deployment, out var health) && health.IsOpen;

    /// <summary>The time until a call may go to a deployment; null if a call may now.</summary>
    public TimeSpan? UntilTest(string deployment) => _healths.TryGetValue(deployment, out var health) ? health.UntilTest : null;

    /// <summary>The health of a deployment; a new one is healthy.</summary>
    public DeploymentHealth Of(Deployment deployment) =>
        _healths.TryGetValue(deployment.Name, out var known) ? known : _healths.GetOrAdd(deployment.Name, Create);

    /// <inheritdoc/>
    public BreakerState Find(string deployment) =>
        _healths.TryGetValue(deployment, out var health) && health is { IsOpen: true, OpenedAt: { } openedAt }
            ? new BreakerState(true, openedAt, _time.GetUtcNow() + (health.UntilTest ?? TimeSpan.Zero))
            : BreakerState.Closed;

    private DeploymentHealth Create(string name) =>
        new(name, () => _configuration.Current.Breaker, _time, _logger, changed => Changed?.Invoke(changed));
}
