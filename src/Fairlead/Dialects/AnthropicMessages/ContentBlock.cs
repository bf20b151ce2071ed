using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

internal enum BlockKind
{
    /// <summary>A newer type or that of a server tool; forwarded unchanged.</summary>
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

/// <summary>The known members of a block. The type may come after the others, so they are validated when the block has ended.</summary>
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

/// <summary>The position of one value of a block in the body.</summary>
internal readonly record struct BlockValue(JsonTokenType Token, ByteRange Range, bool Escaped)
{
    /// <summary>The bytes of a string between its quotes.</summary>
    public ByteRange Inner => new(Range.Start + 1, Math.Max(0, Range.Length - 2));

    public bool IsText => Token == JsonTokenType.String;

    public bool IsAbsent => Token is JsonTokenType.None or JsonTokenType.Null;
}

/// <summary>The result of reading one block.</summary>
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
