using System.Text;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// Translates canonical events to blocks. One block is open at a time; it closes when output switches between text, thinking and tools.
/// </summary>
/// <remarks>
/// Interleaved fragments of calls are put in order: a call waits until the arguments before it are a whole object, because clients
/// build their message from one block after the other.
/// </remarks>
internal sealed class MessagesTranslation(GatewayCall call, MessagesEventFrame frame)
{
    private readonly Queue<WaitingCall> _waiting = [];
    private readonly Dictionary<int, WaitingCall> _waitingByIndex = [];
    private OpenBlock _open;
    private int _block = -1;
    private int _callIndex = -1;
    private ToolArgumentsProgress _progress;
    private bool _started;

    public FinishReason? FinishReason { get; private set; }

    public string? StopSequence { get; private set; }

    public bool HasCalls { get; private set; }

    public bool HasRefusal { get; private set; }

    /// <summary>The message has started, with other events than those of this.</summary>
    /// <param name="block">Index of its last block; -1 for none.</param>
    /// <param name="isOpen">Whether that is an open block of text.</param>
    public void ContinueText(int block, bool isOpen)
    {
        _started = true;
        _block = block;
        _open = isOpen ? OpenBlock.Text : OpenBlock.None;
    }

    public void Write(ref JsonAppender json, GenerationEvent generationEvent)
    {
        // The dialect has one choice per request.
        if (generationEvent.Choice != 0) return;
        switch (generationEvent)
        {
            case AttemptFailed:
                // The end of the stream reports it; a message that never started stays so.
                return;
            case ResponseStarted started:
                Start(ref json, started.Usage);
                return;
        }
        Start(ref json, null);
        switch (generationEvent)
        {
            case TextDelta { Text.Length: > 0 } text:
                Text(ref json, text.Text);
                break;
            case RefusalDelta { Text.Length: > 0 } refusal:
                HasRefusal = true;
                Text(ref json, refusal.Text);
                break;
            case ReasoningDelta reasoning: Reasoning(ref json, reasoning); break;
            case ToolCallStarted started: CallStarted(ref json, started); break;
            case ToolCallDelta delta: CallContinued(ref json, delta); break;
            case ChoiceFinished finished:
                FinishReason = finished.Reason;
                StopSequence = finished.StopSequence;
                break;
            case AudioDelta: MessagesReplyWriter.WarnOfAudio(call); break;
            case AnnotationsAdded:
                call.Warn("annotations_omitted", "This API cannot represent the annotations of the response; they were left out.");
                break;
        }
    }

    /// <summary>Starts the message if it has not started, and closes what is open.</summary>
    public void CloseBlocks(ref JsonAppender json)
    {
        Start(ref json, null);
        Close(ref json);
        while (_waiting.TryDequeue(out var waiting))
        {
            OpenCall(ref json, waiting);
            Close(ref json);
        }
        _waitingByIndex.Clear();
    }

    private void Start(ref JsonAppender json, Usage? usage)
    {
        if (_started) return;
        _started = true;
        frame.Begin(ref json, MessagesEventKind.MessageStart);
        json.Raw("{\"type\":\"message_start\",\"message\":{\"id\":"u8);
        json.String(MessagesReplyWriter.MessageId(call));
        json.Raw(",\"type\":\"message\",\"role\":\"assistant\",\"model\":"u8);
        json.String(call.ReportedModel);
        json.Raw(",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null,\"container\":null,\"usage\":"u8);
        // Until the provider counts, the client receives the gateway's estimate; message_delta has the final numbers.
        MessagesUsageWriter.Append(ref json, usage ?? new Usage(call.InputEstimate.Tokens, 0));
        json.Raw("}"u8);
        frame.End(ref json, MessagesEventAddition.Start);
    }

    private void Text(ref JsonAppender json, string text)
    {
        if (_open != OpenBlock.Text)
        {
            CloseBlocks(ref json);
            Open(ref json, OpenBlock.Text);
            json.Raw("{\"type\":\"text\",\"text\":\"\"}"u8);
            frame.End(ref json);
        }
        Delta(ref json);
        json.Raw("{\"type\":\"text_delta\",\"text\":"u8);
        json.String(text);
        json.Raw("}"u8);
        frame.End(ref json);
    }

    private void Reasoning(ref JsonAppender json, ReasoningDelta reasoning)
    {
        if (reasoning.Signature is { Length: > 0 }) SealWarning.Add(call);
        if (reasoning.Redacted is { } redacted)
        {
            CloseBlocks(ref json);
            Open(ref json, OpenBlock.Thinking);
            json.Raw("{\"type\":\"redacted_thinking\",\"data\":"u8);
            json.String(redacted);
            json.Raw("}"u8);
            frame.End(ref json);
            Close(ref json);
        }
        if (reasoning.Text.Length == 0) return;
        if (_open != OpenBlock.Thinking)
        {
            CloseBlocks(ref json);
            Open(ref json, OpenBlock.Thinking);
            // The signature stays empty: Anthropic does not know another vendor's signature, and the empty one marks the block when a
            // client sends it back.
            json.Raw("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"u8);
            frame.End(ref json);
        }
        Delta(ref json);
        json.Raw("{\"type\":\"thinking_delta\",\"thinking\":"u8);
        json.String(reasoning.Text);
        json.Raw("}"u8);
        frame.End(ref json);
    }

    private void CallStarted(ref JsonAppender json, ToolCallStarted started)
    {
        HasCalls = true;
        if (started.Signature is { Length: > 0 }) SealWarning.Add(call);
        var next = new WaitingCall(started.Index, started.Id, started.Name);
        if (_open == OpenBlock.Tool && !_progress.IsWhole)
        {
            _waiting.Enqueue(next);
            _waitingByIndex.TryAdd(next.Index, next);
            return;
        }
        Close(ref json);
        OpenCall(ref json, next);
    }

    private void CallContinued(ref JsonAppender json, ToolCallDelta delta)
    {
        if (delta.Arguments.Length == 0) return;
        if (_open == OpenBlock.Tool && delta.Index == _callIndex)
        {
            Arguments(ref json, delta.Arguments);
            while (_progress.IsWhole && _waiting.TryDequeue(out var next))
            {
                _waitingByIndex.Remove(next.Index);
                Close(ref json);
                OpenCall(ref json, next);
            }
            return;
        }
        if (_waitingByIndex.TryGetValue(delta.Index, out var waiting))
        {
            waiting.Arguments.Append(delta.Arguments);
            return;
        }
        if (!string.IsNullOrWhiteSpace(delta.Arguments))
        {
            call.Warn("late_tool_arguments",
                "The model's provider sent arguments for a tool call that was already complete; they were left out.");
        }
    }

    private void OpenCall(ref JsonAppender json, WaitingCall next)
    {
        Open(ref json, OpenBlock.Tool);
        json.Raw("{\"type\":\"tool_use\",\"id\":"u8);
        json.String(next.Id);
        json.Raw(",\"name\":"u8);
        json.String(next.Name);
        json.Raw(",\"input\":{},\"caller\":{\"type\":\"direct\"}}"u8);
        frame.End(ref json);
        _callIndex = next.Index;
        _progress = default;
        if (next.Arguments.Length > 0) Arguments(ref json, next.Arguments.ToString());
    }

    private void Arguments(ref JsonAppender json, string fragment)
    {
        _progress.Feed(fragment);
        Delta(ref json);
        json.Raw("{\"type\":\"input_json_delta\",\"partial_json\":"u8);
        json.String(fragment);
        json.Raw("}"u8);
        frame.End(ref json);
    }

    private void Open(ref JsonAppender json, OpenBlock kind)
    {
        _open = kind;
        _block++;
        frame.Begin(ref json, MessagesEventKind.BlockStart);
        json.Raw("{\"type\":\"content_block_start\",\"index\":"u8);
        json.Number(_block);
        json.Raw(",\"content_block\":"u8);
    }

    private void Delta(ref JsonAppender json)
    {
        frame.Begin(ref json, MessagesEventKind.BlockDelta);
        json.Raw("{\"type\":\"content_block_delta\",\"index\":"u8);
        json.Number(_block);
        json.Raw(",\"delta\":"u8);
    }

    private void Close(ref JsonAppender json)
    {
        if (_open == OpenBlock.None) return;
        _open = OpenBlock.None;
        frame.Begin(ref json, MessagesEventKind.BlockStop);
        json.Raw("{\"type\":\"content_block_stop\",\"index\":"u8);
        json.Number(_block);
        frame.End(ref json);
    }

    private enum OpenBlock
    {
        None,
        Text,
        Thinking,
        Tool,
    }

    private sealed class WaitingCall(int index, string id, string name)
    {
        public int Index { get; } = index;

        public string Id { get; } = id;

        public string Name { get; } = name;

        public StringBuilder Arguments { get; } = new();
    }
}
