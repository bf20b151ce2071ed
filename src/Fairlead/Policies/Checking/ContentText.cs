using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Checking;

/// <summary>How a <see cref="ContentText"/> is written in the body.</summary>
internal enum ContentForm
{
    /// <summary>A JSON string.</summary>
    Text,

    /// <summary>A JSON object or list that belongs to the client, such as the arguments of a tool.</summary>
    Json,

    /// <summary>A JSON string with a text file in base64.</summary>
    File,
}

/// <summary>A text of a request that a content policy checks.</summary>
/// <param name="Start">Where it starts in the body, with the quotes of a string.</param>
/// <param name="Length">Bytes in the body.</param>
/// <param name="Form">How it is written.</param>
/// <param name="Value">The text, decoded; of a file its content.</param>
/// <param name="Kind">How its characters are read.</param>
internal readonly record struct ContentText(int Start, int Length, ContentForm Form, string Value, ChannelKind Kind = ChannelKind.Text)
{
    /// <summary>What precedes the base64 of a file, such as <c>data:text/plain;base64,</c>.</summary>
    public string Prefix { get; init; } = "";
}
