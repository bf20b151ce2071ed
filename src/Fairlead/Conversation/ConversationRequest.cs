using System.Text.Json.Nodes;

namespace Fairlead.Conversation;

/// <summary>
/// The inner language: one request for a response, independent of the wire format it came in or goes out by.
/// Dialects read into it, providers write out of it; same-dialect calls never make one.
/// </summary>
internal sealed record ConversationRequest
{
    /// <summary>All turns in order, instructions (system, developer) included where they stood.</summary>
    public required IReadOnlyList<Message> Messages { get; init; }

    public IReadOnlyList<Tool> Tools { get; init; } = [];

    public ToolChoice ToolChoice { get; init; } = ToolChoice.Unset;

    /// <summary>Null when the caller did not say.</summary>
    public bool? ParallelToolCalls { get; init; }

    public OutputFormat OutputFormat { get; init; } = OutputFormat.Text;

    public Sampling Sampling { get; init; } = new();

    /// <summary>Upper bound of generated tokens, reasoning included; null when the caller did not say.</summary>
    public int? MaxOutputTokens { get; init; }

    /// <summary>Number of alternative responses, 1 to 128.</summary>
    public int ChoiceCount { get; init; } = 1;

    public Reasoning? Reasoning { get; init; }

    /// <summary>The caller's own id of its end user.</summary>
    public string? EndUser { get; init; }

    /// <summary>Wanted low, medium or high verbosity, or null.</summary>
    public string? Verbosity { get; init; }

    /// <summary>Output modalities asked for beside text, such as <c>audio</c>, with their settings.</summary>
    public AudioOutput? Audio { get; init; }

    public IReadOnlyDictionary<string, string>? Metadata { get; init; }

    /// <summary>
    /// Fields that have no canonical form, by name as the caller's dialect spells them (service_tier, prediction, cache hints …).
    /// A provider of the same family may carry them over; every other must refuse or warn, never drop them in silence.
    /// </summary>
    public JsonObject? Extra { get; init; }
}

/// <summary>How tokens are drawn. Null means that the caller did not say and the model's default holds.</summary>
internal sealed record Sampling
{
    /// <summary>0 to 2.</summary>
    public double? Temperature { get; init; }

    public double? TopP { get; init; }

    public int? TopK { get; init; }

    /// <summary>-2 to 2.</summary>
    public double? FrequencyPenalty { get; init; }

    /// <summary>-2 to 2.</summary>
    public double? PresencePenalty { get; init; }

    public long? Seed { get; init; }

    public IReadOnlyList<string> Stop { get; init; } = [];

    public bool Logprobs { get; init; }

    /// <summary>0 to 20 alternatives per token.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>Token id to bias (-100 to 100).</summary>
    public IReadOnlyDictionary<string, double>? LogitBias { get; init; }
}

/// <summary>How much the model should think, in whichever form the caller said it.</summary>
internal sealed record Reasoning
{
    /// <summary>none, minimal, low, medium, high, xhigh or max; null when a budget or only a mode was given.</summary>
    public string? Effort { get; init; }

    /// <summary>Thinking tokens, at least 1024 in Anthropic's form.</summary>
    public int? BudgetTokens { get; init; }

    /// <summary>enabled, adaptive, disabled or between_tools (Anthropic's words), or null.</summary>
    public string? Mode { get; init; }

    /// <summary>summarized or omitted, or null.</summary>
    public string? Display { get; init; }
}

internal sealed record AudioOutput(string Voice, string Format);
