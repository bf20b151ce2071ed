using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

internal enum BlockKind
{
    /// <summary>A type of a later date or a server tool's; passes as it is.</summary>
    Other,
    Text,
    Image,
    Document,
    SearchResult,
    ToolUse,
    ToolResult,
    Thinking,
    RedactedThinking,
}

/// <summary>The members of a block that have a meaning; the type may stand behind the others, so they are judged when the block has ended.</summary>
[Flags]
internal enum BlockFields
{
    None = 0,
    Type = 1,
    Text = 1 << 1,
    CacheControl = 1 << 2,
    Citations = 1 << 3,
    Source = 1 << 4,
    Title = 1 << 5,
    Id = 1 << 6,
    Name = 1 << 7,
    Input = 1 << 8,
    ToolUseId = 1 << 9,
    Content = 1 << 10,
    IsError = 1 << 11,
    Thinking = 1 << 12,
    Signature = 1 << 13,
    Data = 1 << 14,
}

/// <summary>One value of a block as it stands in the body.</summary>
internal readonly record struct BlockValue(JsonTokenType Token, ByteRange Range, bool Escaped)
{
    /// <summary>A string's bytes between its quotes.</summary>
    public ByteRange Inner => new(Range.Start + 1, Math.Max(0, Range.Length - 2));

    public bool IsText => Token == JsonTokenType.String;

    public bool IsAbsent => Token is JsonTokenType.None or JsonTokenType.Null;
}

/// <summary>What reading one block found.</summary>
internal struct ContentBlock
{
    public BlockKind Kind;
    public BlockFields Seen;
    public ByteRange Range;
    public BlockValue Text;
    public BlockValue Title;
    public BlockValue Id;
    public BlockValue ToolUseId;
    public BlockValue Name;
    public BlockValue Input;
    public BlockValue Content;
    public BlockValue Thinking;
    public BlockValue Signature;
    public BlockValue Data;
    public BlockValue SourceValue;
    public SourceFacts Source;
    public bool Cited;
}

/// <summary>The <c>source</c> of an image or document.</summary>
internal struct SourceFacts
{
    public string? Type;
    public BlockValue MediaType;
    public BlockValue Data;
    public BlockValue Url;
    public BlockValue FileId;
    public BlockValue Content;
}
