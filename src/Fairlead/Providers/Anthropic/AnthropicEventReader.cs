using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.Quirks;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Anthropic;

/// <summary>
/// Translates events of a Messages stream to canonical events. One per stream. Block indexes become call indexes: the API counts
/// all blocks, the canonical model only calls.
/// </summary>
internal sealed class AnthropicEventReader(GatewayCall call, OutputMeter meter)
{
    private readonly Dictionary<int, OpenCall> _calls = [];
    private UsageReport? _usage;
    private int _callCount;
    private int _letters;
    private FinishMeaning _finish;

    /// <summary>Whether <c>message_stop</c> was read.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Adds the translation of one event. False when it is malformed.</summary>
    /// <param name="name">Name on the event line; may be empty.</param>
    /// <param name="data">Its data.</param>
    /// <param name="events">Receives the events.</param>
    /// <param name="error">Set when it is the provider's error event.</param>
    public bool TryRead(ReadOnlySpan<byte> name, ReadOnlySpan<byte> data, List<GenerationEvent> events, out UpstreamError? error)
    {
        error = null;
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            using var document = JsonDocument.ParseValue(ref reader);
            if (reader.Read()) return false;
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object) return false;
            var kind = root.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String
                ? MessagesEventKind.Of(System.Text.Encoding.UTF8.GetBytes(type.GetString()!))
                : MessagesEventKind.Of(name);
            Read(kind, root, events, out error);
            return true;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException
            or KeyNotFoundException)
        {
            return false;
        }
    }

    private void Read(int kind, JsonElement root, List<GenerationEvent> events, out UpstreamError? error)
    {
        error = null;
        switch (kind)
        {
            case MessagesEventKind.MessageStart: Start(root.GetProperty("message"), events); break;
            case MessagesEventKind.BlockStart: BlockStart(IndexOf(root), root.GetProperty("content_block"), events); break;
            case MessagesEventKind.BlockDelta: BlockDelta(IndexOf(root), root.GetProperty("delta"), events); break;
            case MessagesEventKind.BlockStop: BlockStop(IndexOf(root), events); break;
            case MessagesEventKind.MessageDelta: Delta(root, events); break;
            case MessagesEventKind.MessageStop: IsStopped = true; break;
            case MessagesEventKind.Error:
                var inner = root.TryGetProperty("error", out var value) && value.ValueKind == JsonValueKind.Object ? value : default;
                error = new UpstreamError(Text(inner, "type"), Text(inner, "message"));
                break;
        }
    }

    private static int IndexOf(JsonElement root) => root.GetProperty("index").GetInt32();

    private void Start(JsonElement message, List<GenerationEvent> events)
    {
        if (Text(message, "model") is { Length: <= 256 } model) meter.UpstreamModel = model;
        var usage = ReadUsage(message, out var tier)?.AtStart();
        events.Add(new ResponseStarted { Usage = usage is null ? null : UsageResolver.Unjudged(usage), ServiceTier = tier });
        if (usage is null) return;
        // Reported at once, so that a truncated stream is charged for the input that the provider counted.
        _usage = usage;
        events.Add(UsageReported.Of(usage));
    }

    private void BlockStart(int index, JsonElement block, List<GenerationEvent> events)
    {
        switch (Text(block, "type"))
        {
            case "text" when Text(block, "text") is { Length: > 0 } text: AddText(text, events); break;
            case "thinking" when Text(block, "thinking") is { Length: > 0 } thinking: events.Add(new ReasoningDelta(thinking)); break;
            case "redacted_thinking": events.Add(new ReasoningDelta("") { Redacted = Text(block, "data") ?? "" }); break;
            case "tool_use":
                var opened = new OpenCall(_callCount++);
                _calls[index] = opened;
                events.Add(new ToolCallStarted(opened.Index, Text(block, "id") is { Length: > 0 } id
                    ? id
                    : $"call_0_{opened.Index}", Text(block, "name") ?? ""));
                if (block.TryGetProperty("input", out var input) && input.ValueKind == JsonValueKind.Object
                    && input.EnumerateObject().MoveNext())
                {
                    opened.HasArguments = true;
                    events.Add(new ToolCallDelta(opened.Index, input.GetRawText()));
                }
                break;
            case not ("text" or "thinking"): AnthropicOmissions.Block(call); break;
        }
    }

    private void BlockDelta(int index, JsonElement delta, List<GenerationEvent> events)
    {
        switch (Text(delta, "type"))
        {
            case "text_delta" when Text(delta, "text") is { Length: > 0 } text: AddText(text, events); break;
            case "thinking_delta" when Text(delta, "thinking") is { Length: > 0 } thinking: events.Add(new ReasoningDelta(thinking)); break;
            case "signature_delta": events.Add(new ReasoningDelta("") { Signature = Text(delta, "signature") }); break;
            case "input_json_delta" when Text(delta, "partial_json") is { Length: > 0 } fragment
                && _calls.TryGetValue(index, out var going):
                going.HasArguments = true;
                events.Add(new ToolCallDelta(going.Index, fragment));
                break;
            case "citations_delta" when delta.TryGetProperty("citation", out var citation):
                if (AnthropicAnnotations.Of(citation, _letters) is { } annotation) events.Add(new AnnotationsAdded([annotation]));
                else AnthropicOmissions.Citation(call);
                break;
        }
    }

    private void BlockStop(int index, List<GenerationEvent> events)
    {
        // A call without arguments is {} here, and would not be JSON elsewhere.
        if (_calls.Remove(index, out var ended) && !ended.HasArguments) events.Add(new ToolCallDelta(ended.Index, "{}"));
    }

    private void Delta(JsonElement root, List<GenerationEvent> events)
    {
        if (ReadUsage(root, out _) is { } usage)
        {
            _usage = _usage is null ? usage : _usage.Then(usage);
            events.Add(UsageReported.Of(_usage));
        }
        var delta = root.GetProperty("delta");
        var word = Text(delta, "stop_reason");
        var meaning = MessagesNormaliser.Fit(FinishReasonTable.Of(word), _callCount > 0);
        if (meaning == FinishMeaning.Failed) meter.FailedReason = word;
        // Once, unless another reason is more specific.
        if (FinishReasonTable.ToReason(meaning) is not { } reason || meaning <= _finish) return;
        _finish = meaning;
        events.Add(new ChoiceFinished(reason) { StopSequence = Text(delta, "stop_sequence") });
    }

    private void AddText(string text, List<GenerationEvent> events)
    {
        _letters += text.Length;
        events.Add(new TextDelta(text));
    }

    private static UsageReport? ReadUsage(JsonElement owner, out string? serviceTier)
    {
        serviceTier = null;
        if (!owner.TryGetProperty("usage", out var usage) || UsageReport.Read(usage) is not { } report) return null;
        serviceTier = AnthropicServiceTiers.Read(Text(usage, "service_tier"));
        return report;
    }

    private static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;

    private sealed class OpenCall(int index)
    {
        public int Index { get; } = index;

        public bool HasArguments { get; set; }
    }
}
