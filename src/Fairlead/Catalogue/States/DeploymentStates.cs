using System.Collections.Frozen;

namespace Fairlead.Catalogue.States;

/// <summary>
/// The deployments that operators have drained, as this process last read them. Deployments are identified by name, also those that are in
/// no configuration. Thread-safe; readers take no lock.
/// </summary>
internal sealed class DeploymentStates
{
    private volatile FrozenSet<string> _drained = [];

    /// <summary>Called with the name of each deployment that was drained or made active, after the change.</summary>
    public event Action<string>? Changed;

    /// <summary>All drained deployments, also those that are in no configuration.</summary>
    public IReadOnlyCollection<string> Drained => _drained;

    /// <summary>Whether any deployment is drained.</summary>
    public bool HasDrained => _drained.Count > 0;

    /// <summary>Whether no new work may go to a deployment.</summary>
    public bool IsDrained(string deployment) => _drained is { Count: > 0 } drained && drained.Contains(deployment);

    /// <summary>The state of a deployment as the admin API names it.</summary>
    public string Of(string deployment) => IsDrained(deployment) ? DeploymentStateNames.Drained : DeploymentStateNames.Active;

    /// <summary>Takes over what was read. For one thread at a time.</summary>
    /// <param name="drained">All drained deployments.</param>
    public void Replace(IReadOnlyCollection<string> drained)
    {
        var known = _drained;
        if (known.SetEquals(drained)) return;
        var read = drained.ToFrozenSet(StringComparer.Ordinal);
        _drained = read;
        foreach (var name in read.Where(name => !known.Contains(name))) Changed?.Invoke(name);
        foreach (var name in known.Where(name => !read.Contains(name))) Changed?.Invoke(name);
    }
}
