namespace Fairlead.Streaming.Verification;

/// <summary>The kinds of output that a digest tells apart.</summary>
internal enum DigestPart
{
    /// <summary>Nothing yet.</summary>
    None,

    /// <summary>Text for the reader.</summary>
    Text,

    /// <summary>Readable thinking.</summary>
    Reasoning,

    /// <summary>The same text under its second name, where a server sends both.</summary>
    ReasoningCopy,

    /// <summary>The seal of a block of thinking. Its own bytes differ in every run, so only its place counts.</summary>
    Signature,

    /// <summary>A refusal.</summary>
    Refusal,

    /// <summary>The start of a tool call; its name follows.</summary>
    ToolCall,

    /// <summary>The arguments of a tool call.</summary>
    ToolArguments,

    /// <summary>The end of a choice; the index is its reason.</summary>
    Finish,

    /// <summary>Another event of the dialect that a client has seen; the index tells which.</summary>
    Event,
}
