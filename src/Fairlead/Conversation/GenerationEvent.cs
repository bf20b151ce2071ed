using System.Text.Json.Nodes;
using Fairlead.Errors;

namespace Fairlead.Conversation;

/// <summary>One step of a response in the inner language, in the order in which it was made.</summary>
internal abstract record GenerationEvent
{
    /// <summary>The alternative this belongs to, from 0.</summary>
    public int Choice { get; init; }

    /// <summary>Whether it carries something a reader would see; until such an event has left, a failed attempt may fail over.</summary>
    public virtual bool IsContent => false;
}

/// <summary>The provider accepted and begins.</summary>
internal sealed record ResponseStarted : GenerationEvent
{
    public string? SystemFingerprint { get; init; }

    public string? ServiceTier { get; init; }

    /// <summary>Input tokens where the provider says them at once (Anthropic), for readers that show them at the start.</summary>
    public Usage? Usage { get; init; }
}

internal sealed record TextDelta(string Text) : GenerationEvent
{
    public IReadOnlyList<TokenLogprob>? Logprobs { get; init; }

    public override bool IsContent => Text.Length > 0;
}

/// <summary>Readable thinking, its signature, or a sealed block.</summary>
internal sealed record ReasoningDelta(string Text) : GenerationEvent
{
    /// <summary>Comes once, after the text of the block.</summary>
    public string? Signature { get; init; }

    /// <summary>A whole sealed block.</summary>
    public string? Redacted { get; init; }

    public override bool IsContent => true;
}

internal sealed record RefusalDelta(string Text) : GenerationEvent
{
    public override bool IsContent => Text.Length > 0;
}

/// <summary>A tool call begins.</summary>
/// <param name="Index">Position among the calls of this choice, from 0.</param>
internal sealed record ToolCallStarted(int Index, string Id, string Name) : GenerationEvent
{
    public ToolKind Kind { get; init; }

    public string? Signature { get; init; }

    public override bool IsContent => true;
}

/// <summary>A fragment of the arguments of the call at <paramref name="Index"/>.</summary>
internal sealed record ToolCallDelta(int Index, string Arguments) : GenerationEvent
{
    public override bool IsContent => true;
}

/// <summary>Citations or other annotations of the text so far, as OpenAI's <c>annotations</c>.</summary>
internal sealed record AnnotationsAdded(JsonArray Annotations) : GenerationEvent;

/// <summary>A piece of spoken output as OpenAI's <c>delta.audio</c>.</summary>
internal sealed record AudioDelta(JsonObject Audio) : GenerationEvent
{
    public override bool IsContent => true;
}

/// <summary>
/// A value of a structured output is complete and satisfies its schema. It repeats what the text said; only the gateway itself
/// makes it.
/// </summary>
/// <param name="Pointer">JSON Pointer (RFC 6901) into the output; empty for the whole, which comes last.</param>
/// <param name="Json">The value, on one line.</param>
internal sealed record PartialValue(string Pointer, string Json) : GenerationEvent;

/// <summary>
/// What the model wrote did not satisfy its schema and is written again: all output before it is void. Only the gateway itself
/// makes it.
/// </summary>
/// <param name="Violations">What was wrong with it.</param>
internal sealed record OutputRepaired(IReadOnlyList<SchemaViolation> Violations) : GenerationEvent;

/// <summary>A choice ended.</summary>
internal sealed record ChoiceFinished(FinishReason Reason) : GenerationEvent
{
    public string? StopSequence { get; init; }
}

/// <summary>The provider's count so far; the last one is used.</summary>
internal sealed record UsageReported(Usage Usage) : GenerationEvent
{
    /// <summary>What the provider reported, where <see cref="Usage"/> comes from one.</summary>
    internal UsageReport? Report { get; init; }

    internal static UsageReported Of(UsageReport report) => new(UsageResolver.Unjudged(report) ?? default) { Report = report };
}

/// <summary>The attempt broke. Always the last event of its source; nothing follows.</summary>
internal sealed record AttemptFailed(GatewayError Error) : GenerationEvent;
