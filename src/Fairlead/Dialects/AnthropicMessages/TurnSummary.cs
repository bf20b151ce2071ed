using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>What the content of one message holds, kept until its role is known, which may stand behind the content. Reused from message to message.</summary>
internal sealed class TurnSummary
{
    public List<(int Block, ByteRange Id)> Uses { get; } = [];

    public List<(int Block, ByteRange Id)> Results { get; } = [];

    /// <summary>Ranges that cut out of their array what Anthropic would refuse in an assistant turn: thinking without a signature, and blank texts.</summary>
    public List<ByteRange> Cuts { get; } = [];

    /// <summary>Index of the first text that says nothing; -1 when there is none.</summary>
    public int FirstBlank { get; set; }

    /// <summary>Whether thinking without a signature is among the cuts.</summary>
    public bool CutsThinking { get; set; }

    /// <summary>Whether there is thinking that stays.</summary>
    public bool HasSignedThinking { get; set; }

    public int Blocks { get; set; }

    public bool HasText { get; set; }

    /// <summary>Index of the first block that is no tool result; -1 when there is none.</summary>
    public int FirstOther { get; set; }

    /// <summary>Index of the first document; -1 when there is none.</summary>
    public int FirstDocument { get; set; }

    /// <summary>Index of the first text with citations; -1 when there is none.</summary>
    public int FirstCited { get; set; }

    /// <summary>Index of the first thinking block, readable or sealed; -1 when there is none.</summary>
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
