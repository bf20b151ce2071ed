using System.Text;
using Anthropic.Models.Messages;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>What Anthropic's client saw of a stream.</summary>
internal sealed class SeenMessage
{
    public StringBuilder Text { get; } = new();

    public StringBuilder Input { get; } = new();

    public List<ToolUseBlock> Tools { get; } = [];

    public int TextDeltas { get; private set; }

    public int InputDeltas { get; private set; }

    public bool Started { get; private set; }

    public bool Stopped { get; private set; }

    public StopReason? StopReason { get; private set; }

    public long OutputTokens { get; private set; }

    public static Task<SeenMessage> ReadAsync(IAsyncEnumerable<RawMessageStreamEvent> stream) => ReadAsync(stream, new SeenMessage());

    /// <summary>Fills <paramref name="seen"/> as far as the stream comes, so that a test can look at it after an exception.</summary>
    public static async Task<SeenMessage> ReadAsync(IAsyncEnumerable<RawMessageStreamEvent> stream, SeenMessage seen)
    {
        await foreach (var item in stream) seen.Add(item);
        return seen;
    }

    private void Add(RawMessageStreamEvent item)
    {
        if (item.TryPickStart(out _)) Started = true;
        else if (item.TryPickStop(out _)) Stopped = true;
        else if (item.TryPickContentBlockStart(out var start) && start.ContentBlock.TryPickToolUse(out var use)) Tools.Add(use);
        else if (item.TryPickContentBlockDelta(out var delta)) Add(delta.Delta);
        else if (item.TryPickDelta(out var end)) (StopReason, OutputTokens) = (end.Delta.StopReason?.Value(), end.Usage.OutputTokens);
    }

    private void Add(RawContentBlockDelta delta)
    {
        if (delta.TryPickText(out var text))
        {
            Text.Append(text.Text);
            TextDeltas++;
        }
        else if (delta.TryPickInputJson(out var input))
        {
            Input.Append(input.PartialJson);
            InputDeltas++;
        }
    }
}
