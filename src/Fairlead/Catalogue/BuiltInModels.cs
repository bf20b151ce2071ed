using System.Collections.Frozen;
using System.Text.Json;

namespace Fairlead.Catalogue;

/// <summary>
/// The facts of current models that ship with Fairlead, from the embedded <c>models.json</c>. Read on first use; immutable, thread-safe.
/// </summary>
internal static class BuiltInModels
{
    private static readonly Lazy<Loaded> Facts = new(Load);

    /// <summary>The day the file was compiled; each model's own date may be earlier.</summary>
    public static DateOnly AsOf => Facts.Value.AsOf;

    /// <summary>All models in the order of the file, without deployments.</summary>
    public static IReadOnlyList<CatalogueModel> All => Facts.Value.All;

    /// <summary>The model of this name or alias, or null.</summary>
    public static CatalogueModel? Find(string name) => Facts.Value.ByName.GetValueOrDefault(name);

    private static Loaded Load()
    {
        using var stream = typeof(BuiltInModels).Assembly.GetManifestResourceStream("Fairlead.Catalogue.models.json")
            ?? throw new InvalidOperationException("The embedded models.json is missing.");
        var file = JsonSerializer.Deserialize(stream, BuiltInJsonContext.Default.BuiltInFile)!;
        var all = new List<CatalogueModel>(file.Models.Count);
        var byName = new Dictionary<string, CatalogueModel>(StringComparer.Ordinal);
        foreach (var row in file.Models)
        {
            var model = ToModel(row);
            all.Add(model);
            byName.Add(model.Id, model);
            foreach (var alias in model.Aliases) byName.Add(alias, model);
        }
        return new Loaded(file.AsOf, all, byName);
    }

    private static CatalogueModel ToModel(BuiltInRow row)
    {
        var embedding = row.Kind == "embedding";
        return new CatalogueModel
        {
            Id = row.Id,
            Kind = embedding ? ModelKind.Embedding : ModelKind.Chat,
            DisplayName = row.Id,
            OwnedBy = row.Company,
            CreatedAt = new DateTimeOffset(row.AsOf.ToDateTime(TimeOnly.MinValue), TimeSpan.Zero),
            ContextWindow = row.Window,
            MaxInputTokens = row.MaxInput,
            MaxOutputTokens = row.MaxOutput,
            InputModalities = row.Input.ToFrozenSet(StringComparer.Ordinal),
            OutputModalities = (row.Output ?? [embedding ? "embedding" : "text"]).ToFrozenSet(StringComparer.Ordinal),
            Capabilities = new ModelCapabilities
            {
                Tools = row.Capabilities.Tools,
                JsonSchema = row.Capabilities.JsonSchema,
                Reasoning = row.Capabilities.Reasoning,
                Logprobs = row.Capabilities.Logprobs,
                Prefill = row.Capabilities.Prefill,
                Sampling = row.Capabilities.Sampling,
                SamplingWithoutReasoning = row.Capabilities.SamplingWithoutReasoning,
                MultipleChoices = row.Capabilities.Choices,
                Dimensions = row.DimensionsChoosable,
                ReasoningEfforts = row.Capabilities.Efforts,
            },
            Tokenizer = TokenizerNames.FamilyOf(row.Tokenizer),
            TokenizerName = row.Tokenizer,
            Prices = new ModelPrices(row.Prices.Input, row.Prices.Output)
            {
                CachedInput = row.Prices.CachedInput,
                CacheWrite = row.Prices.CacheWrite,
                LongCacheWrite = row.Prices.LongCacheWrite,
                AudioInput = row.Prices.AudioInput,
                AudioOutput = row.Prices.AudioOutput,
                Tiers =
                [
                    .. row.Prices.Tiers.Select(t => new PriceTier(t.Above, t.Input, t.Output)
                    {
                        CachedInput = t.CachedInput,
                        CacheWrite = t.CacheWrite,
                        LongCacheWrite = t.LongCacheWrite,
                        AudioInput = t.AudioInput,
                        AudioOutput = t.AudioOutput,
                    }),
                ],
                AsOf = row.AsOf,
            },
            EmbeddingDimensions = row.Dimensions,
            Task = row.Task,
            Aliases = row.Aliases,
        };
    }

    private sealed record Loaded(DateOnly AsOf, IReadOnlyList<CatalogueModel> All, Dictionary<string, CatalogueModel> ByName);
}
