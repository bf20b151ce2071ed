namespace Fairlead.Pipeline;

/// <summary>What a request prefers of two deployments of equal priority.</summary>
internal enum RoutePreference
{
    /// <summary>What the model is configured for.</summary>
    None,

    /// <summary>The faster one.</summary>
    Latency,

    /// <summary>The cheaper one.</summary>
    Cost,
}

/// <summary>
/// Which deployments of its model a request wants, in <c>fairlead.route</c>. A deployment is named by its provider or by its whole name,
/// <c>provider/upstream-model</c>. Immutable.
/// </summary>
internal sealed record RouteHints
{
    /// <summary>Maximum names in one list.</summary>
    public const int MaxNames = 32;

    /// <summary>Maximum characters of a name.</summary>
    public const int MaxNameLength = 256;

    /// <summary>Those that are tried first, in this order; the others follow.</summary>
    public IReadOnlyList<string> Order { get; init; } = [];

    /// <summary>Those that may be used; null for all.</summary>
    public IReadOnlyList<string>? Only { get; init; }

    /// <summary>Those that may not be used.</summary>
    public IReadOnlyList<string> Exclude { get; init; } = [];

    /// <summary>Highest price of the input, in US dollars per million tokens; null for any.</summary>
    public decimal? MaxInputPrice { get; init; }

    /// <summary>Highest price of the output, in US dollars per million tokens; null for any.</summary>
    public decimal? MaxOutputPrice { get; init; }

    /// <summary>The order among deployments of equal priority.</summary>
    public RoutePreference Prefer { get; init; }
}
