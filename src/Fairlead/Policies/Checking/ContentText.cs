using System.Text;
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
    /// <summary>What precedes the base64 of a file, such as <c>data:text/plain;base64,</c>. It is checked as a text.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>What follows the text in its string and is not checked: the base64 of a binary file.</summary>
    public ReadOnlyMemory<char> Suffix { get; init; }

    /// <summary>The base64 as the text that it may be; null if it is certainly a file.</summary>
    public string? Raw { get; init; }

    /// <summary>How the characters of a file are encoded.</summary>
    public Encoding Encoding { get; init; } = Encoding.UTF8;

    /// <summary>Whether it is the name of a tool, which cannot be replaced: what would be redacted blocks.</summary>
    public bool IsFixed { get; init; }

    /// <summary>The list whose neighbouring texts a model reads as one; 0 for none.</summary>
    public int Group { get; init; }
}
