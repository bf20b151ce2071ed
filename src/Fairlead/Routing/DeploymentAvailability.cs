using Fairlead.Catalogue;
using Fairlead.Catalogue.States;
using Fairlead.Configuration;
using Fairlead.Scheduling;

namespace Fairlead.Routing;

/// <summary>
/// Whether calls may go to a deployment: not if an operator drained it, and apart from tests not if its breaker is open. Tells scheduling
/// when that changes, so that no call waits for a deployment where it may not go. Thread-safe.
/// </summary>
internal sealed class DeploymentAvailability : IDeploymentAvailability
{
    private readonly DeploymentHealths _healths;
    private readonly DeploymentStates _states;
    private readonly IConfigurationSource _configuration;

    public DeploymentAvailability(
        DeploymentHealths healths, DeploymentStates states, DeploymentSlots slots, IConfigurationSource configuration, ICatalogue catalogue,
        RoutingMetrics metrics)
    {
        (_healths, _states, _configuration) = (healths, states, configuration);
        slots.Availability = this;
        healths.Changed += slots.AvailabilityChanged;
        states.Changed += slots.AvailabilityChanged;
        metrics.ShowStates(() => catalogue.Current.Models
            .SelectMany(model => model.Deployments)
            .Select(deployment => deployment.Name)
            .Distinct(StringComparer.Ordinal)
            .Select(name => (name, states.IsDrained(name))));
    }

    /// <inheritdoc/>
    public bool IsClosed(string deployment) => _states.IsDrained(deployment) || _healths.IsOpen(deployment);

    /// <inheritdoc/>
    public TimeSpan UntilServed(string deployment) =>
        _states.IsDrained(deployment) ? TimeSpan.MaxValue : _healths.UntilTest(deployment) ?? TimeSpan.Zero;

    /// <summary>Whether a call may not go to a deployment now; then the search notes why.</summary>
    /// <param name="deployment">The deployment.</param>
    /// <param name="search">The search of the call.</param>
    /// <param name="mayTest">Whether the call may test an open deployment if that is due.</param>
    public bool IsClosed(Deployment deployment, DeploymentSearch search, bool mayTest)
    {
        if (_states.IsDrained(deployment.Name))
        {
            search.AddDrained();
            return true;
        }
        var health = _healths.Of(deployment);
        if (mayTest ? health.UntilTest is null : !health.IsOpen) return false;
        AddOpen(health, search);
        return true;
    }

    /// <summary>Notes why a call could not wait for the deployments that it found full: they were closed meanwhile.</summary>
    /// <param name="search">The search of the call.</param>
    /// <param name="mayWaitAgain">Whether the call may wait once more: not the run of a job, which was postponed.</param>
    /// <returns>False if the call should do so, because one of them is not closed any more.</returns>
    public bool AddClosed(DeploymentSearch search, bool mayWaitAgain)
    {
        var closed = search.FullDeployments();
        if (mayWaitAgain && !Array.TrueForAll(closed, deployment => IsClosed(deployment.Name))) return false;
        foreach (var deployment in closed)
        {
            if (_states.IsDrained(deployment.Name)) search.AddDrained();
            else AddOpen(_healths.Of(deployment), search);
        }
        return true;
    }

    // Where a test is due that this call cannot make, another one is due in an interval at the latest.
    private void AddOpen(DeploymentHealth health, DeploymentSearch search) =>
        search.AddOpen(health.UntilTest ?? _configuration.Current.Breaker.Interval);
}
