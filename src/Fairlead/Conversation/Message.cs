using System.Text.Json.Nodes;

namespace Fairlead.Conversation;

internal enum Role
{
    System,
    Developer,
    User,
    Assistant,

    /// <summary>Results of tool calls; every part is a <see cref="ToolResultPart"/>.</summary>
    Tool,
}

/// <summary>One turn.</summary>
internal sealed record Message(Role Role, IReadOnlyList<Part> Parts)
{
    /// <summary>The participant's name where the dialect has one.</summary>
    public string? Name { get; init; }

    public static Message Of(Role role, string text) => new(role, [new TextPart(text)]);
}

/// <summary>One piece of a turn.</summary>
internal abstract record Part
{
    /// <summary>Anthropic's <c>cache_control</c> or OpenAI's <c>prompt_cache_breakpoint</c> as it was sent; a hint.</summary>
    public JsonObject? CacheHint { get; init; }
}

internal sealed record TextPart(string Text) : Part;

/// <summary>A picture, by address or inline.</summary>
/// <param name="Url">https address, or null when <paramref name="Data"/> is there.</param>
/// <param name="MediaType">Such as <c>image/png</c>; required with <paramref name="Data"/>.</param>
/// <param name="Data">Base64 of the bytes.</param>
internal sealed record ImagePart(string? Url, string? MediaType, MediaData? Data) : Part
{
    /// <summary>auto, low or high.</summary>
    public string? Detail { get; init; }
}

/// <param name="Format">wav or mp3.</param>
/// <param name="Data">Base64 of the bytes.</param>
internal sealed record AudioPart(string Format, MediaData Data) : Part;

/// <summary>A document: inline (base64), by address, or as plain text.</summary>
internal sealed record FilePart : Part
{
    public string? FileName { get; init; }

    public string? MediaType { get; init; }

    public MediaData? Data { get; init; }

    public string? Url { get; init; }

    public string? FileId { get; init; }

    public string? Text { get; init; }

    public string? Title { get; init; }

    public string? Context { get; init; }

    public bool? Citations { get; init; }
}

/// <summary>Thinking that came from a model and goes back to it unchanged in tool loops.</summary>
/// <param name="Text">The readable thinking; empty when it was redacted.</param>
/// <param name="Signature">The provider's seal; a provider of another kind must not be sent it.</param>
internal sealed record ReasoningPart(string Text, string? Signature) : Part
{
    /// <summary>Sealed thinking without readable text (Anthropic's <c>redacted_thinking</c>).</summary>
    public string? Redacted { get; init; }
}

internal sealed record RefusalPart(string Text) : Part;

/// <summary>The model's wish to call a tool.</summary>
/// <param name="Id">Ties the call to its result.</param>
/// <param name="Name">The tool.</param>
/// <param name="Arguments">JSON text for functions, free text for custom tools.</param>
internal sealed record ToolCallPart(string Id, string Name, string Arguments) : Part
{
    public ToolKind Kind { get; init; }

    /// <summary>A provider's seal on the call (Gemini's <c>thoughtSignature</c>), sent back unchanged.</summary>
    public string? Signature { get; init; }
}

/// <summary>The result of a tool.</summary>
internal sealed record ToolResultPart(string CallId, IReadOnlyList<Part> Content) : Part
{
    public bool IsError { get; init; }

    /// <summary>The tool's name, where the dialect tells it or the call before it does.</summary>
    public string? Name { get; init; }
}
