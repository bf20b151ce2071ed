using Fairlead.Conversation;

namespace Fairlead.Providers.Simulated;

/// <summary>The whole content of a simulated response, decided before its first token is sent.</summary>
internal sealed record SimulatedResponse(IReadOnlyList<ChoicePlan> Choices)
{
    public int OutputTokens => Choices.Sum(c => c.Steps.Count);

    public int ReasoningTokens => Choices.Sum(c => c.Steps.Count(s => s.Kind == StepKind.Reasoning));
}

/// <summary>One alternative: a step is one token.</summary>
internal sealed record ChoicePlan(IReadOnlyList<Step> Steps, FinishReason Finish, string? StopSequence, IReadOnlyList<PlannedCall> Calls)
{
    /// <summary>The signature that ends the thinking, or null without thinking.</summary>
    public string? Signature { get; init; }
}

internal sealed record PlannedCall(string Id, string Name, ToolKind Kind);

internal enum StepKind
{
    Reasoning,
    Text,

    /// <summary>A token of a tool's name: counted, shown with the call's start.</summary>
    ToolName,

    /// <summary>A token of a tool's arguments.</summary>
    Arguments,
}

/// <param name="Kind">What the token is part of.</param>
/// <param name="Text">Its text; empty where it holds only part of a character.</param>
/// <param name="Call">Position of the tool call.</param>
/// <param name="Logprob">Of a text token, when requested.</param>
internal readonly record struct Step(StepKind Kind, string Text, int Call = 0, TokenLogprob? Logprob = null);
