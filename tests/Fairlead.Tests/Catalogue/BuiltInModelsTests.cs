using System.Text.Json.Nodes;
using Fairlead.Catalogue;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Catalogue;

public sealed class BuiltInModelsTests
{
    /// <summary>Our file and the compiled list of facts it was made from, when that list lies beside the repository.</summary>
    [Fact]
    public void BuiltInModels_SharedSourcePresent_MatchRowByRow()
    {
        var path = FindShared();
        Assert.SkipWhen(path is null, "shared/models.json does not lie beside this repository; the facts were not compared.");
        var rows = JsonNode.Parse(File.ReadAllText(path!))!["models"]!.AsArray();
        Assert.NotEmpty(rows);
        foreach (var row in rows)
        {
            var model = BuiltInModels.Find((string)row!["id"]!);
            Assert.True(model is not null, $"{row["id"]} is missing.");
            Assert.Equal((string)row["provider"]!, model.OwnedBy);
            Assert.Equal((string)row["kind"]! == "embedding", model.Kind == ModelKind.Embedding);
            Assert.Equal((int?)row["context_window"], model.ContextWindow);
            Assert.Equal((int?)row["max_output_tokens"], model.MaxOutputTokens);
            Assert.Equal((int?)row["max_input_tokens"], model.MaxInputTokens);
            var prices = row["price_usd_per_1m"]!;
            Assert.Equal(Money(prices["input"]), model.Prices.At(default).Input);
            Assert.Equal(Money(prices["cached_input"]), model.Prices.At(default).CachedInput);
            Assert.Equal(Money(prices["output"]), model.Prices.At(default).Output);
            Assert.Equal(Money(row["cache_write_per_1m"]), model.Prices.At(default).CacheWrite);
            Assert.Equal(Money(row["cache_write_1h_per_1m"]), model.Prices.At(default).LongCacheWrite);
            Assert.Equal(Money(row["audio_input_per_1m"]), model.Prices.At(default).AudioInput);
            var tiers = row["price_tiers"]?.AsArray() ?? [];
            Assert.Equal(tiers.Count, model.Prices.At(default).Tiers.Count);
            for (var i = 0; i < tiers.Count; i++)
            {
                Assert.Equal((int)tiers[i]!["above_input_tokens"]!, model.Prices.At(default).Tiers[i].AboveInputTokens);
                Assert.Equal(Money(tiers[i]!["input"]), model.Prices.At(default).Tiers[i].Input);
                Assert.Equal(Money(tiers[i]!["cached_input"]), model.Prices.At(default).Tiers[i].CachedInput);
                Assert.Equal(Money(tiers[i]!["output"]), model.Prices.At(default).Tiers[i].Output);
            }
            Assert.Equal(Strings(row["modalities"]!["input"]), model.InputModalities.Order());
            Assert.Equal(Strings(row["modalities"]!["output"]), model.OutputModalities.Order());
            Assert.Equal((bool)row["supports"]!["tools"]!, model.Capabilities.Tools);
            Assert.Equal((bool)row["supports"]!["json_schema"]!, model.Capabilities.JsonSchema);
            Assert.Equal((bool)row["supports"]!["reasoning"]!, model.Capabilities.Reasoning);
            Assert.Equal((string)row["tokenizer_family"]!, model.TokenizerName);
            Assert.Equal((int?)row["embedding_dimensions"], model.EmbeddingDimensions);
        }
        Assert.Equal(rows.Count, BuiltInModels.All.Count(m => m.OwnedBy != "simulated"));
    }

    [Fact]
    public void BuiltInModels_EveryModel_HasCompleteFacts()
    {
        Assert.Equal(new DateOnly(2026, 11, 23), BuiltInModels.AsOf);
        foreach (var model in BuiltInModels.All)
        {
            Assert.True(model.ContextWindow > 0, model.Id);
            Assert.NotNull(model.Prices.At(default).AsOf);
            Assert.True(model.InputModalities.Contains("text"), model.Id);
            Assert.Equal(model.Prices.At(default).Tiers.OrderBy(t => t.AboveInputTokens), model.Prices.At(default).Tiers);
            if (model.Kind == ModelKind.Embedding) Assert.True(model.EmbeddingDimensions > 0, model.Id);
        }
        Assert.Equal(
            ["sim-echo", "sim-embed", "sim-fast", "sim-json", "sim-reason", "sim-slow", "sim-tools"],
            BuiltInModels.All.Where(m => m.OwnedBy == "simulated").Select(m => m.Id).Order());
        Assert.Same(BuiltInModels.Find("deepseek-flash"), BuiltInModels.Find("deepseek-v4-flash"));
    }

    private static decimal? Money(JsonNode? node) => node is null ? null : decimal.Parse(node.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture);

    private static IEnumerable<string> Strings(JsonNode? node) => node!.AsArray().Select(n => (string)n!).Order();

    private static string? FindShared()
    {
        var path = Repository.PathOf("..", "shared", "models.json");
        return File.Exists(path) ? path : null;
    }
}
