using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>The content of one message, kept until its role is known, which may come after the content. Reused for every message.</summary>
internal sealed class TurnSummary
{
    public List<(int Block, ByteRange Id)> Uses { get; } = [];

    public List<(int Block, ByteRange Id)> Results { get; } = [];

    /// <summary>
    /// Ranges to remove from the array: thinking without a signature and blank texts, which Anthropic rejects in an assistant turn.
    /// </summary>
    public List<ByteRange> Cuts { get; } = [];

    /// <summary>Index of the first blank text; -1 when there is none.</summary>
    public int FirstBlank { get; set; }

    /// <summary>Whether thinking without a signature is removed.</summary>
    public bool CutsThinking { get; set; }

    /// <summary>Whether thinking remains.</summary>
    public bool HasSignedThinking { get; set; }

    public int Blocks { get; set; }

    public bool HasText { get; set; }

    /// <summary>Index of the first block that is not a tool result; -1 when there is none.</summary>
    public int FirstOther { get; set; }

    /// <summary>Index of the first document; -1 when there is none.</summary>
    public int FirstDocument { get; set; }

    /// <summary>Index of the first text with citations; -1 when there is none.</summary>
    public int FirstCited { get; set; }

    /// <summary>Index of the first thinking block, readable or encrypted; -1 when there is none.</summary>
    public int FirstThinking { get; set; }

    public void Clear()
    {
        Uses.Clear();
        Results.Clear();
        Cuts.Clear();
        CutsThinking = HasSignedThinking = false;
        Blocks = 0;
        HasText = false;
        FirstOther = FirstBlank = FirstDocument = FirstCited = FirstThinking = -1;
    }
}
