using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Translates canonical events to items and their events: every item and part is announced before its first delta and
/// closed after its last. Reasoning is sent as summaries, which all clients of the dialect support.
/// </summary>
/// <remarks>
/// Calls with interleaved fragments stay open in parallel. A call is closed when its arguments are a whole object and other output starts.
/// </remarks>
internal sealed class ResponsesTranslation(GatewayCall call, ResponsesEventFrame frame)
{
    private readonly List<OutputItem> _items = [];
    private readonly Dictionary<int, OutputItem> _byCall = [];
    private readonly SortedDictionary<int, OutputItem> _settled = [];
    private OutputItem? _speaking;

    /// <summary>The output so far.</summary>
    public IReadOnlyList<OutputItem> Items => _items;

    public void Write(ref JsonAppender json, GenerationEvent generationEvent)
    {
        // The dialect has one choice per request.
        if (generationEvent.Choice != 0) return;
        switch (generationEvent)
        {
            case TextDelta { Text.Length: > 0 } or TextDelta { Logprobs: not null }: Text(ref json, (TextDelta)generationEvent); break;
            case RefusalDelta { Text.Length: > 0 } refusal: Refusal(ref json, refusal.Text); break;
            case ReasoningDelta reasoning: Reasoning(ref json, reasoning); break;
            case ToolCallStarted started: CallStarted(ref json, started); break;
            case ToolCallDelta { Arguments.Length: > 0 } delta: CallContinued(ref json, delta); break;
            case AnnotationsAdded annotations: Annotations(ref json, annotations); break;
            case PartialValue shown when call.Caller.Extensions: Value(ref json, shown); break;
            case AudioDelta: call.Warn("audio_omitted", "This API cannot represent the audio of the response; it was left out."); break;
        }
    }

    /// <summary>Closes what is open. If the response was truncated, its last item is marked incomplete.</summary>
    public void CloseAll(ref JsonAppender json, bool cut)
    {
        var last = cut ? _items.FindLast(static item => item.IsOpen) : null;
        if (last is not null) last.IsIncomplete = true;
        foreach (var item in _items) Close(ref json, item);
        _speaking = null;
    }

    // An event of our own has our name as a prefix, as Open Responses requires.
    private void Value(ref JsonAppender json, PartialValue shown)
    {
        frame.Begin(ref json, "fairlead:output.partial"u8);
        json.Raw(",\"pointer\":"u8);
        json.String(shown.Pointer);
        json.Raw(",\"value\":"u8);
        json.Raw(System.Text.Encoding.UTF8.GetBytes(shown.Json));
        frame.End(ref json);
    }

    private OutputItem Open(ref JsonAppender json, OutputItem item)
    {
        _items.Add(item);
        frame.Begin(ref json, "response.output_item.added"u8);
        json.Raw(",\"output_index\":"u8);
        json.Number((long)item.Index);
        json.Raw(",\"item\":"u8);
        ResponseJson.AppendItem(ref json, item, withSeal: false, empty: true);
        frame.End(ref json);
        return item;
    }

    private OutputItem New(OutputItemKind kind) =>
        new(kind, ResponseIds.OfItem(OutputItem.PrefixOf(kind), call, _items.Count), _items.Count);

    private OutputItem Speak(ref JsonAppender json, OutputItemKind kind)
    {
        if (_speaking is { } open && open.Kind == kind) return open;
        CloseSettled(ref json);
        return _speaking = Open(ref json, New(kind));
    }

    private OutputPart Part(ref JsonAppender json, bool isRefusal)
    {
        var item = Speak(ref json, OutputItemKind.Message);
        if (item.Parts.Count > 0)
        {
            if (item.Parts[^1].IsRefusal == isRefusal) return item.Parts[^1];
            ClosePart(ref json, item);
        }
        var part = new OutputPart(isRefusal);
        item.Parts.Add(part);
        frame.Begin(ref json, "response.content_part.added"u8);
        AppendItemPosition(ref json, item, "content_index");
        json.Raw(",\"part\":"u8);
        ResponseJson.AppendPart(ref json, part, empty: true);
        frame.End(ref json);
        return part;
    }

    private void Text(ref JsonAppender json, TextDelta text)
    {
        var part = Part(ref json, isRefusal: false);
        part.Text.Append(text.Text);
        var logprobs = text.Logprobs ?? [];
        part.Logprobs.AddRange(logprobs);
        frame.Begin(ref json, "response.output_text.delta"u8);
        AppendItemPosition(ref json, _speaking!, "content_index");
        json.Raw(",\"delta\":"u8);
        json.String(text.Text);
        json.Raw(",\"logprobs\":"u8);
        ResponseJson.AppendLogprobs(ref json, logprobs);
        frame.End(ref json);
    }

    private void Refusal(ref JsonAppender json, string text)
    {
        Part(ref json, isRefusal: true).Text.Append(text);
        frame.Begin(ref json, "response.refusal.delta"u8);
        AppendItemPosition(ref json, _speaking!, "content_index");
        json.Raw(",\"delta\":"u8);
        json.String(text);
        frame.End(ref json);
    }

    private void Annotations(ref JsonAppender json, AnnotationsAdded added)
    {
        foreach (var given in added.Annotations)
        {
            if (ResponseJson.Annotation(given) is not { } annotation) continue;
            var part = Part(ref json, isRefusal: false);
            frame.Begin(ref json, "response.output_text.annotation.added"u8);
            AppendItemPosition(ref json, _speaking!, "content_index");
            json.Raw(",\"annotation_index\":"u8);
            json.Number((long)part.Annotations.Count);
            json.Raw(",\"annotation\":"u8);
            json.Node(annotation);
            frame.End(ref json);
            part.Annotations.Add(annotation);
        }
    }

    private void Reasoning(ref JsonAppender json, ReasoningDelta reasoning)
    {
        if (reasoning.Redacted is { } redacted)
        {
            // An encrypted block is an item of its own.
            CloseSettled(ref json);
            var item = Open(ref json, New(OutputItemKind.Reasoning));
            item.Seal = SealedReasoning.Of(new ReasoningPart("", null) { Redacted = redacted });
            Close(ref json, item);
            return;
        }
        if (reasoning.Text.Length > 0)
        {
            var item = Speak(ref json, OutputItemKind.Reasoning);
            if (item.Text.Length == 0)
            {
                frame.Begin(ref json, "response.reasoning_summary_part.added"u8);
                AppendItemPosition(ref json, item, "summary_index");
                json.Raw(",\"part\":{\"type\":\"summary_text\",\"text\":\"\"}"u8);
                frame.End(ref json);
            }
            item.Text.Append(reasoning.Text);
            frame.Begin(ref json, "response.reasoning_summary_text.delta"u8);
            AppendItemPosition(ref json, item, "summary_index");
            json.Raw(",\"delta\":"u8);
            json.String(reasoning.Text);
            frame.End(ref json);
        }
        if (reasoning.Signature is not { } signature) return;
        // It ends its block.
        var signed = Speak(ref json, OutputItemKind.Reasoning);
        signed.Seal = SealedReasoning.Of(new ReasoningPart("", signature));
        Close(ref json, signed);
        _speaking = null;
    }

    private void CallStarted(ref JsonAppender json, ToolCallStarted started)
    {
        // Thinking can hold its signature here; calls cannot.
        if (started.Signature is { Length: > 0 }) SealWarning.Add(call);
        CloseSettled(ref json);
        var kind = started.Kind == ToolKind.Custom ? OutputItemKind.CustomCall : OutputItemKind.FunctionCall;
        _byCall[started.Index] = Open(ref json,
            new OutputItem(kind, ResponseIds.OfItem(OutputItem.PrefixOf(kind), call, _items.Count), _items.Count)
        {
            CallId = started.Id,
            Name = started.Name,
            CallIndex = started.Index,
        });
    }

    private void CallContinued(ref JsonAppender json, ToolCallDelta delta)
    {
        if (!_byCall.TryGetValue(delta.Index, out var item) || !item.IsOpen)
        {
            if (!string.IsNullOrWhiteSpace(delta.Arguments))
            {
                call.Warn("late_tool_arguments",
                    "The model's provider sent arguments for a tool call that was already complete; they were left out.");
            }
            return;
        }
        item.Text.Append(delta.Arguments);
        var progress = item.Progress;
        progress.Feed(delta.Arguments);
        item.Progress = progress;
        if (progress.IsWhole) _settled[item.Index] = item;
        else _settled.Remove(item.Index);
        frame.Begin(ref json, item.Kind == OutputItemKind.CustomCall
            ? "response.custom_tool_call_input.delta"u8
            : "response.function_call_arguments.delta"u8);
        AppendItemPosition(ref json, item, null);
        json.Raw(",\"delta\":"u8);
        json.String(delta.Arguments);
        frame.End(ref json);
    }

    /// <summary>Other output starts: closes text and reasoning, and calls with complete arguments.</summary>
    private void CloseSettled(ref JsonAppender json)
    {
        // Not all items are searched: a response may have thousands of them.
        if (_speaking is { } speaking) _settled[speaking.Index] = speaking;
        foreach (var item in _settled.Values) Close(ref json, item);
        _settled.Clear();
        _speaking = null;
    }

    private void Close(ref JsonAppender json, OutputItem item)
    {
        if (!item.IsOpen) return;
        item.IsOpen = false;
        switch (item.Kind)
        {
            case OutputItemKind.Message:
                if (item.Parts.Count > 0) ClosePart(ref json, item);
                break;
            case OutputItemKind.Reasoning:
                if (item.Text.Length > 0) CloseSummary(ref json, item);
                break;
            default:
                var custom = item.Kind == OutputItemKind.CustomCall;
                frame.Begin(ref json, custom ? "response.custom_tool_call_input.done"u8 : "response.function_call_arguments.done"u8);
                AppendItemPosition(ref json, item, null);
                if (!custom)
                {
                    json.Raw(",\"name\":"u8);
                    json.String(item.Name);
                }
                json.Raw(custom ? ",\"input\":"u8 : ",\"arguments\":"u8);
                json.String(item.Text.ToString());
                frame.End(ref json);
                break;
        }
        frame.Begin(ref json, "response.output_item.done"u8);
        json.Raw(",\"output_index\":"u8);
        json.Number((long)item.Index);
        json.Raw(",\"item\":"u8);
        ResponseJson.AppendItem(ref json, item, call.Facts.Responses!.IncludesSealedReasoning);
        frame.End(ref json);
    }

    private void CloseSummary(ref JsonAppender json, OutputItem item)
    {
        var text = item.Text.ToString();
        frame.Begin(ref json, "response.reasoning_summary_text.done"u8);
        AppendItemPosition(ref json, item, "summary_index");
        json.Raw(",\"text\":"u8);
        json.String(text);
        frame.End(ref json);
        frame.Begin(ref json, "response.reasoning_summary_part.done"u8);
        AppendItemPosition(ref json, item, "summary_index");
        json.Raw(",\"part\":"u8);
        ResponseJson.AppendSummary(ref json, text);
        frame.End(ref json);
    }

    private void ClosePart(ref JsonAppender json, OutputItem item)
    {
        var part = item.Parts[^1];
        frame.Begin(ref json, part.IsRefusal ? "response.refusal.done"u8 : "response.output_text.done"u8);
        AppendItemPosition(ref json, item, "content_index");
        json.Raw(part.IsRefusal ? ",\"refusal\":"u8 : ",\"text\":"u8);
        json.String(part.Text.ToString());
        if (!part.IsRefusal)
        {
            json.Raw(",\"logprobs\":"u8);
            ResponseJson.AppendLogprobs(ref json, part.Logprobs);
        }
        frame.End(ref json);
        frame.Begin(ref json, "response.content_part.done"u8);
        AppendItemPosition(ref json, item, "content_index");
        json.Raw(",\"part\":"u8);
        ResponseJson.AppendPart(ref json, part);
        frame.End(ref json);
    }

    private static void AppendItemPosition(ref JsonAppender json, OutputItem item, string? inner)
    {
        json.Raw(",\"item_id\":"u8);
        json.String(item.Id);
        json.Raw(",\"output_index\":"u8);
        json.Number((long)item.Index);
        if (inner is null) return;
        json.Raw(inner == "summary_index" ? ",\"summary_index\":"u8 : ",\"content_index\":"u8);
        json.Number((long)(inner == "summary_index" ? 0 : item.Parts.Count - 1));
    }
}
