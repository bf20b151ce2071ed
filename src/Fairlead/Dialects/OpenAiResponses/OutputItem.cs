using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.AnthropicMessages;

namespace Fairlead.Dialects.OpenAiResponses;

internal enum OutputItemKind
{
    Message,
    Reasoning,
    FunctionCall,
    CustomCall,
}

/// <summary>One item of a response's output while it is generated.</summary>
internal sealed class OutputItem(OutputItemKind kind, string id, int index)
{
    public OutputItemKind Kind { get; } = kind;

    public string Id { get; } = id;

    /// <summary>Position in the output.</summary>
    public int Index { get; } = index;

    /// <summary>Parts of a message.</summary>
    public List<OutputPart> Parts { get; } = [];

    /// <summary>Readable reasoning, or a call's arguments.</summary>
    public StringBuilder Text { get; } = new();

    /// <summary>Encrypted reasoning, as sent to the client.</summary>
    public string? Seal { get; set; }

    public string CallId { get; init; } = "";

    public string Name { get; init; } = "";

    /// <summary>The call's own number among the calls of the response.</summary>
    public int CallIndex { get; init; } = -1;

    public ToolArgumentsProgress Progress { get; set; }

    public bool IsOpen { get; set; } = true;

    /// <summary>Truncated before it was complete.</summary>
    public bool IsIncomplete { get; set; }

    public string Status => IsOpen ? "in_progress" : IsIncomplete ? "incomplete" : "completed";

    public string Prefix => PrefixOf(Kind);

    public static string PrefixOf(OutputItemKind kind) => kind switch
    {
        OutputItemKind.Message => "msg",
        OutputItemKind.Reasoning => "rs",
        OutputItemKind.FunctionCall => "fc",
        _ => "ctc",
    };
}

/// <summary>A part of a message: text, or a refusal.</summary>
internal sealed class OutputPart(bool isRefusal)
{
    public bool IsRefusal { get; } = isRefusal;

    public StringBuilder Text { get; } = new();

    public List<TokenLogprob> Logprobs { get; } = [];

    public List<JsonNode> Annotations { get; } = [];
}
