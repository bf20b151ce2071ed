namespace Fairlead.Routing;

/// <summary>The random numbers of routing, for weights and jitter. Tests provide their own.</summary>
internal sealed class RoutingRandom(Func<double>? next = null)
{
    private readonly Func<double> _next = next ?? Random.Shared.NextDouble;

    /// <summary>A number in [0, 1). Thread-safe.</summary>
    public double Next() => _next();
}
