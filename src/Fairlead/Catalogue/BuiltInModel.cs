using System.Collections.Frozen;
using System.Text.Json.Serialization;

namespace Fairlead.Catalogue;

/// <summary>One row of <c>models.json</c>, as it is written there.</summary>
internal sealed record BuiltInRow
{
    public required string Id { get; init; }

    public required string Company { get; init; }

    public string Kind { get; init; } = "chat";

    public int? Window { get; init; }

    public int? MaxInput { get; init; }

    public int? MaxOutput { get; init; }

    public IReadOnlyList<string> Input { get; init; } = [];

    public IReadOnlyList<string>? Output { get; init; }

    public string Tokenizer { get; init; } = "estimated";

    public BuiltInPrices Prices { get; init; } = new();

    public BuiltInCapabilities Capabilities { get; init; } = new();

    public int? Dimensions { get; init; }

    public bool DimensionsChoosable { get; init; }

    public string? Task { get; init; }

    public IReadOnlyList<string> Aliases { get; init; } = [];

    public DateOnly AsOf { get; init; }
}

internal sealed record BuiltInPrices
{
    public decimal Input { get; init; }

    public decimal? CachedInput { get; init; }

    public decimal? CacheWrite { get; init; }

    public decimal? LongCacheWrite { get; init; }

    public decimal Output { get; init; }

    public IReadOnlyList<BuiltInTier> Tiers { get; init; } = [];
}

internal sealed record BuiltInTier(int Above, decimal Input, decimal? CachedInput, decimal Output);

internal sealed record BuiltInCapabilities
{
    public bool Tools { get; init; }

    public bool JsonSchema { get; init; }

    public bool Reasoning { get; init; }

    public bool Logprobs { get; init; }

    public bool Prefill { get; init; }

    public bool Sampling { get; init; }

    public bool SamplingWithoutReasoning { get; init; }

    public bool Choices { get; init; }

    public IReadOnlyList<string> Efforts { get; init; } = [];
}

internal sealed record BuiltInFile(DateOnly AsOf, IReadOnlyList<BuiltInRow> Models);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(BuiltInFile))]
internal sealed partial class BuiltInJsonContext : JsonSerializerContext;
