using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>What a model can do beyond text; null where the configuration does not say.</summary>
internal sealed record CapabilitiesConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<CapabilitiesConfig> Keys = new(() => new CapabilitiesConfig(), [],
        new("tools", ConfigTypes.Switch, c => c.Tools, (c, v) => c with { Tools = (bool)v }, "Calls tools."),
        new("jsonSchema", ConfigTypes.Switch, c => c.JsonSchema, (c, v) => c with { JsonSchema = (bool)v }, "Follows a JSON Schema."),
        new("reasoning", ConfigTypes.Switch, c => c.Reasoning, (c, v) => c with { Reasoning = (bool)v },
            "Reasons before it responds, and accepts an effort."),
        new("logprobs", ConfigTypes.Switch, c => c.Logprobs, (c, v) => c with { Logprobs = (bool)v },
            "Reports log probabilities of tokens."),
        new("prefill", ConfigTypes.Switch, c => c.Prefill, (c, v) => c with { Prefill = (bool)v },
            "Continues an assistant turn at the end of the conversation."),
        new("sampling", ConfigTypes.Switch, c => c.Sampling, (c, v) => c with { Sampling = (bool)v }, "Accepts temperature and top_p."),
        new("multipleChoices", ConfigTypes.Switch, c => c.MultipleChoices, (c, v) => c with { MultipleChoices = (bool)v },
            "Accepts n > 1."));

    public bool? Tools { get; init; }

    public bool? JsonSchema { get; init; }

    public bool? Reasoning { get; init; }

    public bool? Logprobs { get; init; }

    public bool? Prefill { get; init; }

    public bool? Sampling { get; init; }

    public bool? MultipleChoices { get; init; }

    /// <summary>Vectors of a chosen length.</summary>
    public bool? Dimensions { get; init; }
}
