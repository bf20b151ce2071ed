namespace Fairlead.Routing;

/// <summary>Where Routing's chance comes from: weights and jitter. Tests give their own.</summary>
internal sealed class RoutingChance(Func<double>? next = null)
{
    private readonly Func<double> _next = next ?? Random.Shared.NextDouble;

    /// <summary>A number in [0, 1). Thread-safe.</summary>
    public double Next() => _next();
}
