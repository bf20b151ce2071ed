namespace Fairlead.Policies.Matching;

/// <summary>How the characters of a text are to be read.</summary>
internal enum ChannelKind
{
    /// <summary>Plain text.</summary>
    Text,

    /// <summary>
    /// JSON text: arguments of tools, structured output. Each string, name and number in it is a text of its own, and is matched without
    /// its escapes. What is redacted leaves valid JSON. A text that is not JSON, or ends early, is still matched.
    /// </summary>
    Json,
}
