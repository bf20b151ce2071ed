using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>What the content of one message holds, kept until its role is known, which may stand behind the content. Reused from message to message.</summary>
internal sealed class TurnSummary
{
    public List<(int Block, ByteRange Id)> Uses { get; } = [];

    public List<(int Block, ByteRange Id)> Results { get; } = [];

    /// <summary>Thinking without a signature, with the range that cuts it out of its array.</summary>
    public List<ByteRange> ForeignThinking { get; } = [];

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
        ForeignThinking.Clear();
        Blocks = 0;
        HasText = false;
        FirstOther = FirstDocument = FirstCited = FirstThinking = -1;
    }
}
