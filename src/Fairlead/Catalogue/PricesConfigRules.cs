using System.Globalization;

namespace Fairlead.Catalogue;

/// <summary>Rules for the stated prices of a model.</summary>
internal static class PricesConfigRules
{
    /// <param name="key">Path of the prices.</param>
    /// <param name="entries">One for prices that are always the same.</param>
    public static IEnumerable<CatalogueError> Check(string key, IReadOnlyList<PricesConfig> entries)
    {
        if (entries.Count == 0)
        {
            yield return new(key, "[]", "State at least one entry, { input: 0, output: 0 } when it costs nothing, or leave the key out.");
        }
        for (var i = 0; i < entries.Count; i++)
        {
            var entry = entries.Count == 1 ? key : $"{key}[{i}]";
            foreach (var error in CheckEntry(entry, entries[i])) yield return error;
            if (i == 0) continue;
            if (entries[i].From is not { } from)
            {
                yield return new($"{entry}.from", null, "Only the first entry may lack its time; state from when on these prices apply.");
            }
            else if (LatestBefore(entries, i) is var before && from <= before)
            {
                yield return new($"{entry}.from", Text(from), from == before
                    ? "Two entries start at the same time; keep one."
                    : $"The entries are in the order of time, and an earlier one starts at {Text(before)}; sort them.");
            }
        }
    }

    private static DateTimeOffset LatestBefore(IReadOnlyList<PricesConfig> entries, int index) =>
        entries.Take(index).Max(entry => entry.From ?? DateTimeOffset.MinValue);

    private static string Text(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", CultureInfo.InvariantCulture);

    private static IEnumerable<CatalogueError> CheckEntry(string key, PricesConfig prices)
    {
        foreach (var (name, value) in new (string, decimal?)[] { ("input", prices.Input), ("cachedInput", prices.CachedInput),
            ("cacheWrite", prices.CacheWrite), ("longCacheWrite", prices.LongCacheWrite), ("audioInput", prices.AudioInput),
            ("output", prices.Output), ("audioOutput", prices.AudioOutput) })
        {
            if (value < 0) yield return new($"{key}.{name}", $"{value}", "A price is in US dollars per million tokens and not negative.");
        }
        var steps = new HashSet<int>();
        for (var i = 0; i < prices.Tiers.Count; i++)
        {
            var tier = prices.Tiers[i];
            if (tier.AboveInputTokens < 1)
            {
                yield return new($"{key}.tiers[{i}].aboveInputTokens", $"{tier.AboveInputTokens}",
                    "A step must start above at least one token of input.");
            }
            else if (!steps.Add(tier.AboveInputTokens))
            {
                yield return new($"{key}.tiers[{i}].aboveInputTokens", $"{tier.AboveInputTokens}",
                    "Two steps start at the same size; keep one.");
            }
            if (tier.Input < 0 || tier.CachedInput < 0 || tier.CacheWrite < 0 || tier.LongCacheWrite < 0 || tier.AudioInput < 0
                || tier.AudioOutput < 0 || tier.Output < 0)
            {
                yield return new($"{key}.tiers[{i}]", null, "A price is not negative.");
            }
        }
        if (prices.BatchFactor < 0)
            yield return new($"{key}.batchFactor", $"{prices.BatchFactor}", "A factor is not negative; 0.5 halves the cost.");
        var tiers = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var (tier, factor) in prices.ServiceTiers)
        {
            if (factor < 0) yield return new($"{key}.serviceTiers.{tier}", $"{factor}", "A factor is not negative; 0.5 halves the cost.");
            if (!tiers.Add(tier))
                yield return new($"{key}.serviceTiers.{tier}", $"{factor}", "The tier is listed twice; names match in any case.");
        }
        if (prices.BatchFactor is not null && tiers.Contains(ServiceTierFactors.Batch))
        {
            yield return new($"{key}.batchFactor", $"{prices.BatchFactor}",
                "It is the factor of the tier batch, which serviceTiers states too; keep one of the two.");
        }
    }
}
