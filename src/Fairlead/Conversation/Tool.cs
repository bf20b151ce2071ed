using System.Text.Json.Nodes;

namespace Fairlead.Conversation;

internal enum ToolKind
{
    /// <summary>Arguments are a JSON object by a schema.</summary>
    Function,

    /// <summary>Arguments are free text, perhaps by a grammar.</summary>
    Custom,
}

/// <summary>Something the model may call.</summary>
internal sealed record Tool(string Name)
{
    public ToolKind Kind { get; init; }

    public string? Description { get; init; }

    /// <summary>JSON Schema of the arguments; null means none are taken.</summary>
    public JsonObject? Parameters { get; init; }

    public bool? Strict { get; init; }

    /// <summary>Format of a custom tool, as sent.</summary>
    public JsonObject? Format { get; init; }

    public JsonObject? CacheHint { get; init; }
}

internal enum ToolChoiceMode
{
    /// <summary>The caller did not say: none without tools, auto with.</summary>
    Unset,
    None,
    Auto,

    /// <summary>At least one call.</summary>
    Required,

    /// <summary>This tool.</summary>
    Named,
}

internal sealed record ToolChoice(ToolChoiceMode Mode, string? Name = null)
{
    public static readonly ToolChoice Unset = new(ToolChoiceMode.Unset);

    /// <summary>When not null, only these tools may be called.</summary>
    public IReadOnlyList<string>? Allowed { get; init; }
}

internal enum OutputKind
{
    Text,

    /// <summary>Some valid JSON value.</summary>
    Json,

    /// <summary>JSON by a schema.</summary>
    JsonSchema,
}

internal sealed record OutputFormat(OutputKind Kind)
{
    public static readonly OutputFormat Text = new(OutputKind.Text);

    public string? Name { get; init; }

    public string? Description { get; init; }

    public JsonObject? Schema { get; init; }

    public bool? Strict { get; init; }
}
