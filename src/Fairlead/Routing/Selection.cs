using Fairlead.Catalogue;

namespace Fairlead.Routing;

/// <summary>The deployments of a call in the order in which they are tried.</summary>
/// <param name="Deployments">May be empty if all are drained.</param>
/// <param name="Reason">Why the first one is first: one of <see cref="AttemptReasons"/>.</param>
internal readonly record struct Selection(IReadOnlyList<Deployment> Deployments, string Reason)
{
    /// <summary>Whether drained deployments were left out.</summary>
    public bool HasDrained { get; init; }
}
