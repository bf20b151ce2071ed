using Fairlead.Generations;

namespace Fairlead.Conversation;

/// <summary>How a generation ended. Every one ends with exactly one of these; there is no silent end.</summary>
internal enum Outcome
{
    /// <summary>The model finished by itself.</summary>
    Complete,

    /// <summary>The output limit cut it.</summary>
    Length,

    /// <summary>The model asks for tools.</summary>
    ToolCalls,

    /// <summary>A filter of the provider or a policy stopped it.</summary>
    ContentFilter,

    /// <summary>The output does not satisfy the schema that it was to have.</summary>
    InvalidOutput,

    /// <summary>The provider's stream broke or stalled.</summary>
    ProviderLost,

    /// <summary>The caller's deadline passed.</summary>
    Deadline,

    /// <summary>The budget was used up.</summary>
    Budget,

    /// <summary>The caller left or cancelled.</summary>
    Cancelled,

    /// <summary>Refused before any attempt, or every attempt failed before content.</summary>
    Failed,
}

/// <summary>State of the resource (queued, in_progress, then one of the four ends).</summary>
internal enum GenerationStatus
{
    Queued,
    InProgress,
    Completed,
    Incomplete,
    Failed,
    Cancelled,
}

internal static class OutcomeExtensions
{
    /// <summary>Name on the wire, snake_case.</summary>
    public static string ToWire(this Outcome outcome) => outcome switch
    {
        Outcome.Complete => "complete",
        Outcome.Length => "length",
        Outcome.ToolCalls => "tool_calls",
        Outcome.ContentFilter => "content_filter",
        Outcome.InvalidOutput => "invalid_output",
        Outcome.ProviderLost => "provider_lost",
        Outcome.Deadline => "deadline",
        Outcome.Budget => "budget",
        Outcome.Cancelled => "cancelled",
        _ => "failed",
    };

    /// <summary>The final status that belongs to an outcome.</summary>
    public static GenerationStatus ToStatus(this Outcome outcome) => outcome switch
    {
        Outcome.Complete or Outcome.ToolCalls => GenerationStatus.Completed,
        Outcome.Length or Outcome.ContentFilter or Outcome.InvalidOutput or Outcome.Budget => GenerationStatus.Incomplete,
        Outcome.Cancelled => GenerationStatus.Cancelled,
        _ => GenerationStatus.Failed,
    };
}
