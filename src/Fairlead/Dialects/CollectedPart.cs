using System.Text;

namespace Fairlead.Dialects;

/// <summary>One piece of collected output. Not thread-safe.</summary>
/// <param name="type">What it is: one of the constants, or the type of an item that only one dialect has.</param>
internal sealed class CollectedPart(string type)
{
    public const string Text = "text";
    public const string Reasoning = "reasoning";
    public const string Refusal = "refusal";
    public const string Transcript = "transcript";
    public const string ToolCall = "tool_call";

    public string Type => type;

    /// <summary>Id of a call of a tool; null for other parts.</summary>
    public string? Id { get; set; }

    /// <summary>Name of the tool; null for other parts.</summary>
    public string? Name { get; set; }

    /// <summary>The text; of a call its arguments, of another item its JSON.</summary>
    public StringBuilder Content { get; } = new();

    /// <summary>The hash of the text, which then is not kept; null if it is.</summary>
    public TextHash? Hash { get; set; }

    /// <summary>Whether the text ends before its end.</summary>
    public bool IsCut { get; set; }
}

/// <summary>The output of one choice.</summary>
internal sealed class CollectedChoice
{
    public List<CollectedPart> Parts { get; } = [];

    /// <summary>The texts to which the next piece of their type belongs.</summary>
    public Dictionary<string, CollectedPart> Open { get; } = new(StringComparer.Ordinal);

    /// <summary>The calls of tools, by their number.</summary>
    public Dictionary<long, CollectedPart> Calls { get; } = [];

    /// <summary>Why it ended, in the words of the dialect; null if it did not.</summary>
    public string? FinishReason { get; set; }
}
