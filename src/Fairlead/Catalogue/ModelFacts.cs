using System.Collections.Frozen;

namespace Fairlead.Catalogue;

/// <summary>Combines what is known of a model: the facts of its deployments, overridden by the configuration.</summary>
internal static class ModelFacts
{
    /// <summary>
    /// What is true for every deployment: the smallest windows, the capabilities that all have, the highest prices.
    /// </summary>
    /// <param name="all">At least one.</param>
    public static CatalogueModel MostRestrictive(IReadOnlyList<CatalogueModel> all)
    {
        var merged = all[0];
        for (var i = 1; i < all.Count; i++) merged = Merge(merged, all[i]);
        return merged;
    }

    /// <summary>Stated values override <paramref name="facts"/>; the others stay.</summary>
    public static CatalogueModel Override(CatalogueModel facts, ModelConfig config) => facts with
    {
        ContextWindow = config.ContextWindow ?? facts.ContextWindow,
        MaxInputTokens = config.MaxInputTokens ?? facts.MaxInputTokens,
        MaxOutputTokens = config.MaxOutputTokens ?? facts.MaxOutputTokens,
        InputModalities = config.Modalities?.Input is { Count: > 0 } input ? input.ToFrozenSet(StringComparer.Ordinal)
            : facts.InputModalities,
        OutputModalities = config.Modalities?.Output is { Count: > 0 } output ? output.ToFrozenSet(StringComparer.Ordinal)
            : facts.OutputModalities,
        Capabilities = config.Capabilities is { } stated ? Override(facts.Capabilities, stated) : facts.Capabilities,
        Tokenizer = config.Tokenizer is { } tokenizer ? TokenizerNames.FamilyOf(tokenizer) : facts.Tokenizer,
        TokenizerName = config.Tokenizer ?? facts.TokenizerName,
        Prices = config.Prices is { } prices ? ToPriceList(prices) : facts.Prices,
        Lifecycle = config.Lifecycle is { } lifecycle ? ToLifecycle(lifecycle) : facts.Lifecycle,
        // Not those of the facts: limits belong to the name that clients send.
        Limits = config.Limits,
        // Not those of the facts: a queue belongs to the name that clients send.
        Scheduling = config.Scheduling,
        Strategy = config.Strategy,
        OnOverflow = config.OnOverflow,
        FailsOverContentRejections = config.FailsOverContentRejections,
        Task = config.Task ?? facts.Task,
    };

    /// <summary>The initial facts of a model outside the catalogue, before its stated values override them.</summary>
    /// <param name="kind">Chat or embedding.</param>
    /// <param name="statesCapabilities">Whether special capabilities are absent unless stated; otherwise nothing is known, and nothing is
    /// refused.</param>
    public static CatalogueModel Unknown(ModelKind kind, bool statesCapabilities) => new()
    {
        Id = "",
        OwnedBy = "",
        Kind = kind,
        CreatedAt = new DateTimeOffset(BuiltInModels.AsOf.ToDateTime(TimeOnly.MinValue), TimeSpan.Zero),
        OutputModalities = FrozenSet.ToFrozenSet([kind == ModelKind.Embedding ? "embedding" : "text"], StringComparer.Ordinal),
        Capabilities = statesCapabilities
            ? new ModelCapabilities { Tools = false, JsonSchema = false, Logprobs = false, Prefill = false }
            : new ModelCapabilities(),
    };

    /// <param name="entries">At least one, checked by <see cref="PricesConfigRules"/>.</param>
    public static PriceList ToPriceList(IReadOnlyList<PricesConfig> entries) =>
        new(entries.Select(entry => new DatedPrices(entry.From ?? DateTimeOffset.MinValue, ToPrices(entry))));

    private static ModelPrices ToPrices(PricesConfig config) => new(config.Input, config.Output)
    {
        CachedInput = config.CachedInput,
        AudioInput = config.AudioInput,
        CacheWrite = config.CacheWrite,
        LongCacheWrite = config.LongCacheWrite,
        AudioOutput = config.AudioOutput,
        ServiceTiers = config.BatchFactor is { } batch
            ? new ServiceTierFactors([.. config.ServiceTiers, new(ServiceTierFactors.Batch, batch)])
            : config.ServiceTiers.Count == 0 ? ServiceTierFactors.None : new ServiceTierFactors(config.ServiceTiers),
        Tiers =
        [
            .. config.Tiers.OrderBy(t => t.AboveInputTokens).Select(t => new PriceTier(t.AboveInputTokens, t.Input, t.Output)
            {
                CachedInput = t.CachedInput,
                CacheWrite = t.CacheWrite,
                LongCacheWrite = t.LongCacheWrite,
                AudioInput = t.AudioInput,
                AudioOutput = t.AudioOutput,
            }),
        ],
    };

    private static ModelLifecycle ToLifecycle(LifecycleConfig config) => new(config.State switch
    {
        "deprecated" => LifecycleState.Deprecated,
        "retired" => LifecycleState.Retired,
        _ => LifecycleState.Active,
    })
    {
        DeprecatedAt = config.DeprecatedAt,
        RetiresAt = config.RetiresAt,
        Replacement = config.Replacement,
    };

    private static ModelCapabilities Override(ModelCapabilities facts, CapabilitiesConfig stated) => facts with
    {
        Tools = stated.Tools ?? facts.Tools,
        JsonSchema = stated.JsonSchema ?? facts.JsonSchema,
        Reasoning = stated.Reasoning ?? facts.Reasoning,
        Logprobs = stated.Logprobs ?? facts.Logprobs,
        Prefill = stated.Prefill ?? facts.Prefill,
        Sampling = stated.Sampling ?? facts.Sampling,
        MultipleChoices = stated.MultipleChoices ?? facts.MultipleChoices,
    };

    private static CatalogueModel Merge(CatalogueModel a, CatalogueModel b)
    {
        var sameVocabulary = a.TokenizerName == b.TokenizerName;
        return a with
        {
            OwnedBy = a.OwnedBy == b.OwnedBy ? a.OwnedBy : "fairlead",
            CreatedAt = a.CreatedAt < b.CreatedAt ? a.CreatedAt : b.CreatedAt,
            ContextWindow = Smaller(a.ContextWindow, b.ContextWindow),
            MaxInputTokens = Smaller(a.MaxInputTokens, b.MaxInputTokens),
            MaxOutputTokens = Smaller(a.MaxOutputTokens, b.MaxOutputTokens),
            InputModalities = a.InputModalities.Intersect(b.InputModalities).ToFrozenSet(StringComparer.Ordinal),
            OutputModalities = a.OutputModalities.Intersect(b.OutputModalities).ToFrozenSet(StringComparer.Ordinal),
            Capabilities = Both(a.Capabilities, b.Capabilities),
            // It is not known beforehand which deployment responds, so no count is exact.
            Tokenizer = sameVocabulary ? a.Tokenizer : TokenizerFamily.Estimated,
            TokenizerName = sameVocabulary ? a.TokenizerName : "mixed",
            Prices = PlainSum(a) >= PlainSum(b) ? a.Prices : b.Prices,
            EmbeddingDimensions = a.EmbeddingDimensions == b.EmbeddingDimensions ? a.EmbeddingDimensions : null,
            Task = a.Task == b.Task ? a.Task : null,
        };
    }

    // The built-in catalogue has one entry for each model; of a list, the latest entry is compared.
    private static decimal PlainSum(CatalogueModel model) => SumOf(model.Prices.Entries[^1].Prices);

    private static decimal SumOf(ModelPrices prices) => prices.Input + prices.Output;

    private static ModelCapabilities Both(ModelCapabilities a, ModelCapabilities b) => new()
    {
        Tools = a.Tools && b.Tools,
        JsonSchema = a.JsonSchema && b.JsonSchema,
        Reasoning = a.Reasoning && b.Reasoning,
        Logprobs = a.Logprobs && b.Logprobs,
        Prefill = a.Prefill && b.Prefill,
        Sampling = a.Sampling && b.Sampling,
        SamplingWithoutReasoning = (a.Sampling || a.SamplingWithoutReasoning) && (b.Sampling || b.SamplingWithoutReasoning),
        MultipleChoices = a.MultipleChoices && b.MultipleChoices,
        Dimensions = a.Dimensions && b.Dimensions,
        ReasoningEfforts = a.ReasoningEfforts.Count == 0 ? b.ReasoningEfforts
            : b.ReasoningEfforts.Count == 0 ? a.ReasoningEfforts
            : [.. a.ReasoningEfforts.Intersect(b.ReasoningEfforts)],
    };

    private static int? Smaller(int? a, int? b) => a is null ? b : b is null ? a : Math.Min(a.Value, b.Value);
}
