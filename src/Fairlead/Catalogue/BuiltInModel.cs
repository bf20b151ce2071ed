using System.Text.Json.Serialization;

namespace Fairlead.Catalogue;

/// <summary>One row of <c>models.json</c>, as it is written there.</summary>
/// <remarks>Plain setters: generated serializers set every init-only member, and so lose the defaults of absent ones.</remarks>
internal sealed record BuiltInRow
{
    public required string Id { get; set; }

    public required string Company { get; set; }

    public string Kind { get; set; } = "chat";

    public int? Window { get; set; }

    public int? MaxInput { get; set; }

    public int? MaxOutput { get; set; }

    public IReadOnlyList<string> Input { get; set; } = [];

    public IReadOnlyList<string>? Output { get; set; }

    public string Tokenizer { get; set; } = "estimated";

    public BuiltInPrices Prices { get; set; } = new();

    public BuiltInCapabilities Capabilities { get; set; } = new();

    public int? Dimensions { get; set; }

    public bool DimensionsChoosable { get; set; }

    public string? Task { get; set; }

    public IReadOnlyList<string> Aliases { get; set; } = [];

    public DateOnly AsOf { get; set; }
}

internal sealed record BuiltInPrices
{
    public decimal Input { get; set; }

    public decimal? CachedInput { get; set; }

    public decimal? CacheWrite { get; set; }

    public decimal? LongCacheWrite { get; set; }

    public decimal? AudioInput { get; set; }

    public decimal Output { get; set; }

    public decimal? AudioOutput { get; set; }

    public IReadOnlyList<BuiltInTier> Tiers { get; set; } = [];
}

internal sealed record BuiltInTier
{
    public int Above { get; set; }

    public decimal Input { get; set; }

    public decimal? CachedInput { get; set; }

    public decimal? CacheWrite { get; set; }

    public decimal? LongCacheWrite { get; set; }

    public decimal? AudioInput { get; set; }

    public decimal Output { get; set; }

    public decimal? AudioOutput { get; set; }
}

internal sealed record BuiltInCapabilities
{
    public bool Tools { get; set; }

    public bool JsonSchema { get; set; }

    public bool Reasoning { get; set; }

    public bool Logprobs { get; set; }

    public bool Prefill { get; set; }

    public bool Sampling { get; set; }

    public bool SamplingWithoutReasoning { get; set; }

    public bool Choices { get; set; }

    public IReadOnlyList<string> Efforts { get; set; } = [];
}

internal sealed record BuiltInFile(DateOnly AsOf, IReadOnlyList<BuiltInRow> Models);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(BuiltInFile))]
internal sealed partial class BuiltInJsonContext : JsonSerializerContext;
