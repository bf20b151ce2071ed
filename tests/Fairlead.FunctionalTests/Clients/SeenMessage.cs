using System.Text;
using System.Text.Json;
using Anthropic.Models.Messages;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>What Anthropic's client saw of a stream.</summary>
internal sealed class SeenMessage
{
    public StringBuilder Text { get; } = new();

    public StringBuilder Thinking { get; } = new();

    /// <summary>The input of all calls, as it came.</summary>
    public StringBuilder Input { get; } = new();

    public List<ToolUseBlock> Tools { get; } = [];

    /// <summary>The input of each call.</summary>
    public List<StringBuilder> Inputs { get; } = [];

    public int TextDeltas { get; private set; }

    public int InputDeltas { get; private set; }

    public bool Started { get; private set; }

    public bool Stopped { get; private set; }

    public StopReason? StopReason { get; private set; }

    public long OutputTokens { get; private set; }

    public long? ThinkingTokens { get; private set; }

    public static Task<SeenMessage> ReadAsync(IAsyncEnumerable<RawMessageStreamEvent> stream) => ReadAsync(stream, new SeenMessage());

    /// <summary>Fills <paramref name="seen"/> as far as the stream comes, so that a test can look at it after an exception.</summary>
    public static async Task<SeenMessage> ReadAsync(IAsyncEnumerable<RawMessageStreamEvent> stream, SeenMessage seen)
    {
        await foreach (var item in stream) seen.Add(item);
        return seen;
    }

    /// <summary>The same of a whole message.</summary>
    public static SeenMessage Of(Message message)
    {
        var seen = new SeenMessage { StopReason = message.StopReason?.Value(), OutputTokens = message.Usage.OutputTokens, ThinkingTokens = message.Usage.OutputTokensDetails?.ThinkingTokens };
        foreach (var block in message.Content)
        {
            if (block.TryPickText(out var text)) seen.Text.Append(text.Text);
            else if (block.TryPickThinking(out var thinking)) seen.Thinking.Append(thinking.Thinking);
            else if (block.TryPickToolUse(out var use))
            {
                seen.Tools.Add(use);
                seen.Inputs.Add(new StringBuilder(JsonSerializer.Serialize(use.Input)));
            }
        }
        return seen;
    }

    private void Add(RawMessageStreamEvent item)
    {
        if (item.TryPickStart(out _)) Started = true;
        else if (item.TryPickStop(out _)) Stopped = true;
        else if (item.TryPickContentBlockStart(out var start) && start.ContentBlock.TryPickToolUse(out var use))
        {
            Tools.Add(use);
            Inputs.Add(new StringBuilder());
        }
        else if (item.TryPickContentBlockDelta(out var delta)) Add(delta.Delta);
        else if (item.TryPickDelta(out var end)) (StopReason, OutputTokens, ThinkingTokens) = (end.Delta.StopReason?.Value(), end.Usage.OutputTokens, end.Usage.OutputTokensDetails?.ThinkingTokens);
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
            Inputs[^1].Append(input.PartialJson);
            InputDeltas++;
        }
        else if (delta.TryPickThinking(out var thinking))
        {
            Thinking.Append(thinking.Thinking);
        }
    }
}
