using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;
using Microsoft.Extensions.AI;

namespace Fairlead.Providers.ChatClient;

/// <summary>
/// Converts the output of an <see cref="IChatClient"/> to events. Tool calls are held until the end: calls that the client handled itself
/// (a pipeline with its own tools) are not for the caller. One per attempt; not thread-safe.
/// </summary>
internal sealed class ChatClientResponseReader(GatewayCall call, OutputMeter meter)
{
    private static readonly GatewayError Failure = new(ErrorCode.ProviderError, "The model failed to respond.");

    private readonly List<FunctionCallContent> _calls = [];
    private readonly UsageDetails _usage = new();
    private ChatFinishReason? _finishReason;
    private bool _hasUsage;
    private int _textLength;

    public OutputMeter Meter => meter;

    /// <summary>Reads the contents of one message or update.</summary>
    /// <returns>Null, or why the response failed, without the client's own text.</returns>
    public GatewayError? Read(IList<AIContent> contents, ICollection<GenerationEvent> events)
    {
        foreach (var content in contents)
        {
            switch (content)
            {
                case TextContent text:
                    ReadText(text, events);
                    break;
                case TextReasoningContent reasoning when reasoning.Text.Length > 0 || reasoning.ProtectedData is { Length: > 0 }:
                    events.Add(new ReasoningDelta(reasoning.Text) { Signature = reasoning.ProtectedData });
                    break;
                case FunctionCallContent { InformationalOnly: false } function:
                    _calls.Add(function);
                    break;
                case FunctionResultContent result:
                    _calls.RemoveAll(c => c.CallId == result.CallId);
                    break;
                case UsageContent usage:
                    Count(usage.Details, events);
                    break;
                case ErrorContent { ErrorCode: "Refusal" } refusal:
                    if (refusal.Message is { Length: > 0 } words) events.Add(new RefusalDelta(words));
                    break;
                case ErrorContent:
                    return Failure;
                case DataContent or UriContent or HostedFileContent:
                    call.Warn("output_omitted", "The model returned a kind of output that this API cannot represent; it was left out.");
                    break;
            }
        }
        return null;
    }

    public void NoteFinish(ChatFinishReason? reason, string? modelId)
    {
        if (reason is not null) _finishReason = reason;
        if (modelId is not null) meter.UpstreamModel = modelId;
    }

    /// <summary>The client's count; several add up.</summary>
    public void Count(UsageDetails details, ICollection<GenerationEvent> events)
    {
        _hasUsage = true;
        _usage.Add(details);
        events.Add(UsageReported.Of(UsageReport.Of(_usage.InputTokenCount, _usage.OutputTokenCount, _usage.TotalTokenCount,
            _usage.CachedInputTokenCount, _usage.ReasoningTokenCount)));
    }

    public bool HasUsage => _hasUsage;

    /// <summary>The client has finished: writes held calls and the finish.</summary>
    public GatewayError? End(ICollection<GenerationEvent> events)
    {
        for (var i = 0; i < _calls.Count; i++)
        {
            var function = _calls[i];
            string arguments;
            try
            {
                arguments = function.Arguments is { } given ? ToJson(given) : "{}";
            }
            catch (Exception e) when (e is NotSupportedException or JsonException or InvalidOperationException)
            {
                return Failure;
            }
            events.Add(new ToolCallStarted(i, string.IsNullOrEmpty(function.CallId)
                ? Ids.New("call_", call.Time)
                : function.CallId, function.Name));
            events.Add(new ToolCallDelta(i, arguments));
        }
        var meaning = FinishReasonTable.Of(_finishReason?.Value);
        if (meaning == FinishMeaning.Failed)
        {
            meter.FailedReason = _finishReason?.Value;
            return Http.UpstreamClient.FailedReasonError;
        }
        var reason = meaning switch
        {
            FinishMeaning.Length => FinishReason.Length,
            FinishMeaning.ContentFilter => FinishReason.ContentFilter,
            _ => _calls.Count > 0 ? FinishReason.ToolCalls : FinishReason.Stop,
        };
        events.Add(new ChoiceFinished(reason));
        return null;
    }

    // With the library's own serializer contracts, which know what its adapters return; on one line, unlike its options.
    private static string ToJson(IDictionary<string, object?> arguments)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer, ErrorBodyWriter.WriterOptions))
        {
            JsonSerializer.Serialize(json, arguments, AIJsonUtilities.DefaultOptions.GetTypeInfo(typeof(IDictionary<string, object?>)));
        }
        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private void ReadText(TextContent text, ICollection<GenerationEvent> events)
    {
        if (text.Text.Length > 0) events.Add(new TextDelta(text.Text));
        if (text.Annotations is { Count: > 0 } annotations && ReadAnnotations(annotations, text.Text.Length) is { Count: > 0 } citations)
        {
            events.Add(new AnnotationsAdded(citations));
        }
        _textLength += text.Text.Length;
    }

    private JsonArray ReadAnnotations(IList<AIAnnotation> annotations, int length)
    {
        var result = new JsonArray();
        foreach (var citation in annotations.OfType<CitationAnnotation>())
        {
            if (citation.Url is null) continue;
            var span = citation.AnnotatedRegions?.OfType<TextSpanAnnotatedRegion>().FirstOrDefault();
            result.Add(new JsonObject
            {
                ["type"] = "url_citation",
                ["url_citation"] = new JsonObject
                {
                    // Regions count within their own text; clients see the whole text.
                    ["start_index"] = _textLength + (span?.StartIndex ?? 0),
                    ["end_index"] = _textLength + (span?.EndIndex ?? length),
                    ["url"] = citation.Url.OriginalString,
                    ["title"] = citation.Title ?? "",
                },
            });
        }
        return result;
    }
}
