using System.Text.Json.Nodes;

namespace Fairlead.Conversation;

/// <summary>Why a choice ended, in OpenAI's words, which the other dialects map to.</summary>
internal enum FinishReason
{
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

/// <summary>A finished response in the inner language. Usage is in the call's meter, not here.</summary>
internal sealed record ModelResponse(IReadOnlyList<OutputChoice> Choices)
{
    /// <summary>The provider's own fingerprint of the running system, or null.</summary>
    public string? SystemFingerprint { get; init; }

    public string? ServiceTier { get; init; }
}

/// <summary>One alternative.</summary>
/// <param name="Index">From 0.</param>
/// <param name="Parts">Reasoning, text, refusal and tool calls in the order in which the model made them.</param>
/// <param name="FinishReason">Null when the response was cut before it ended.</param>
internal sealed record OutputChoice(int Index, IReadOnlyList<Part> Parts, FinishReason? FinishReason)
{
    /// <summary>The stop sequence that ended it, where the provider said so.</summary>
    public string? StopSequence { get; init; }

    public IReadOnlyList<TokenLogprob>? Logprobs { get; init; }

    /// <summary>Citations of the text, as OpenAI's <c>annotations</c>.</summary>
    public JsonArray? Annotations { get; init; }

    /// <summary>Spoken output as OpenAI's <c>audio</c> object.</summary>
    public JsonObject? Audio { get; init; }
}

/// <summary>One generated token and its natural-logarithm probability.</summary>
internal sealed record TokenLogprob(string Token, double Logprob, IReadOnlyList<TokenLogprob> Top)
{
    /// <summary>UTF-8 bytes of the token, or null when it has none.</summary>
    public byte[]? Bytes { get; init; }
}
