namespace Fairlead.Catalogue;

/// <summary>
/// What the service tiers of a provider cost, as factors of the whole cost of an attempt. A tier that is not listed has the factor 1. Names
/// match in any case. Immutable and thread-safe.
/// </summary>
internal sealed class ServiceTierFactors(IEnumerable<KeyValuePair<string, decimal>> factors)
{
    /// <summary>The tier in which providers run batches at a discount.</summary>
    public const string Batch = "batch";

    public static readonly ServiceTierFactors None = new([]);

    private readonly KeyValuePair<string, decimal>[] _factors = [.. factors];

    /// <summary>The listed tiers in their order.</summary>
    public IReadOnlyList<KeyValuePair<string, decimal>> All => _factors;

    /// <summary>The factor of a tier; 1 without a tier.</summary>
    public decimal Of(string? tier)
    {
        if (tier is null) return 1;
        foreach (var (name, factor) in _factors)
        {
            if (name.Equals(tier, StringComparison.OrdinalIgnoreCase)) return factor;
        }
        return 1;
    }

    /// <summary>
    /// The factor of an attempt whose provider reported no tier: that of the requested one if it is dearer than the plain price. A discount
    /// needs the provider's word, or any client could claim it.
    /// </summary>
    /// <param name="requested">The tier that the provider was asked for, or null.</param>
    public decimal OfUnreported(string? requested) => LeavesChoice(requested) ? 1 : Math.Max(1, Of(requested));

    /// <summary>
    /// The highest factor that an attempt may have: all tiers count if the provider chooses the tier, and a provider may always fall back to
    /// its plain one.
    /// </summary>
    /// <param name="requested">The tier that the provider is asked for, or null.</param>
    public decimal Dearest(string? requested)
    {
        if (!LeavesChoice(requested)) return OfUnreported(requested);
        var dearest = 1m;
        foreach (var (_, factor) in _factors) dearest = Math.Max(dearest, factor);
        return dearest;
    }

    // OpenAI's "auto" and an absent field stand for the setting of the project, Anthropic's for its best free tier.
    private static bool LeavesChoice(string? requested) =>
        requested is null || requested.Equals("auto", StringComparison.OrdinalIgnoreCase);
}
