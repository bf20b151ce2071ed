using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.Quirks;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// Writes a stream of named events. Native events are forwarded with their number added, others are translated. <c>message_delta</c> waits
/// for the end of the call because it has the final usage; <c>message_stop</c> is last and has the final metadata.
/// </summary>
internal sealed class MessagesStreamWriter(GatewayCall call) : DialectStreamWriter
{
    private readonly MessagesEventFrame _frame = new(call);
    private MessagesTranslation? _translation;
    private byte[]? _heldDelta;
    private byte[]? _heldStop;
    private bool _started;
    private int _block = -1;
    private bool _isBlockOpen;

    public override void Write(EventBatch batch, IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        foreach (var item in batch.Items)
        {
            if (item.Event is { } generationEvent)
            {
                (_translation ??= StartTranslation()).Write(ref json, generationEvent);
            }
            else WriteNative(ref json, item.Kind, batch.DataOf(item));
        }
        json.Flush();
    }

    public override void WriteEnd(IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        if (ErrorOfEnding() is { } error) WriteError(ref json, error);
        else WriteFinish(ref json);
        json.Flush();
    }

    private void WriteNative(ref JsonAppender json, int kind, scoped ReadOnlySpan<byte> data)
    {
        data = GatewayJsonFields.Without(data);
        switch (kind)
        {
            case MessagesEventKind.Ping or MessagesEventKind.Error:
                // The edge keeps the stream alive, and WriteEnd writes an error that ends it.
                break;
            case MessagesEventKind.MessageStart:
                // A second one (from a relay that retried silently) would restart the client's message.
                if (_started) break;
                _started = true;
                _frame.Begin(ref json, kind);
                AppendStart(ref json, data);
                _frame.End(ref json, MessagesEventAddition.Start);
                break;
            case MessagesEventKind.MessageDelta:
                // A message ends once: the last event with a reason has the most specific one.
                if (_heldDelta is not null && !MessagesNormaliser.HasReason(_heldDelta)) WriteWhole(ref json, kind, _heldDelta);
                _heldDelta = data.ToArray();
                break;
            case MessagesEventKind.MessageStop:
                _heldStop = data.ToArray();
                break;
            case MessagesEventKind.Unknown:
                WriteUnknown(ref json, data);
                break;
            case MessagesEventKind.BlockStart or MessagesEventKind.BlockStop:
                if (kind == MessagesEventKind.BlockStart) _block++;
                _isBlockOpen = kind == MessagesEventKind.BlockStart;
                WriteWhole(ref json, kind, data);
                break;
            default:
                WriteWhole(ref json, kind, data);
                break;
        }
    }

    // After forwarded events: their open block is a text that goes on.
    private MessagesTranslation StartTranslation()
    {
        var translation = new MessagesTranslation(call, _frame);
        if (_started) translation.ContinueText(_block, _isBlockOpen);
        return translation;
    }

    private void WriteWhole(ref JsonAppender json, int kind, scoped ReadOnlySpan<byte> data,
        MessagesEventAddition addition = MessagesEventAddition.None)
    {
        _frame.Begin(ref json, kind);
        MessagesEventFrame.AppendOpen(ref json, data);
        _frame.End(ref json, addition);
    }

    // The data's own type is the name; clients cannot receive an event whose name does not fit on a line.
    private void WriteUnknown(ref JsonAppender json, scoped ReadOnlySpan<byte> data)
    {
        var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isType = reader.ValueTextEquals("type"u8);
            reader.Read();
            if (!isType)
            {
                reader.Skip();
                continue;
            }
            if (reader.TokenType != JsonTokenType.String || reader.ValueIsEscaped || reader.ValueSpan.IsEmpty
                || reader.ValueSpan.Length > 128)
            {
                return;
            }
            _frame.Begin(ref json, reader.ValueSpan);
            MessagesEventFrame.AppendOpen(ref json, data);
            _frame.End(ref json);
            return;
        }
    }

    private void AppendStart(ref JsonAppender json, scoped ReadOnlySpan<byte> data)
    {
        var model = FindModel(data);
        if (model.IsEmpty)
        {
            MessagesEventFrame.AppendOpen(ref json, data);
            return;
        }
        AppendLine(ref json, data[..model.Start]);
        json.String(call.ReportedModel);
        MessagesEventFrame.AppendOpen(ref json, data[model.End..]);
    }

    private static void AppendLine(ref JsonAppender json, scoped ReadOnlySpan<byte> data)
    {
        foreach (var range in data.SplitAny("\r\n"u8))
        {
            json.Raw(data[range]);
        }
    }

    private static ByteRange FindModel(ReadOnlySpan<byte> data)
    {
        var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isMessage = reader.ValueTextEquals("message"u8);
            reader.Read();
            if (!isMessage || reader.TokenType != JsonTokenType.StartObject)
            {
                reader.Skip();
                continue;
            }
            var start = (int)reader.TokenStartIndex;
            var inner = MessagesResponseScanner.FindModel(data[start..]);
            return inner.IsEmpty ? default : new ByteRange(start + inner.Start, inner.Length);
        }
        return default;
    }

    private void WriteFinish(ref JsonAppender json)
    {
        // A response without any event also ends as a translated stream.
        if (_translation is null && !_started) _translation = new MessagesTranslation(call, _frame);
        _translation?.CloseBlocks(ref json);
        if (_heldDelta is not null)
        {
            WriteWhole(ref json, MessagesEventKind.MessageDelta, MessagesUsageWriter.Correct(call, _heldDelta, isDelta: true));
        }
        else WriteDelta(ref json);
        if (_heldStop is not null)
        {
            WriteWhole(ref json, MessagesEventKind.MessageStop, _heldStop, MessagesEventAddition.Final);
            return;
        }
        _frame.Begin(ref json, MessagesEventKind.MessageStop);
        json.Raw("{\"type\":\"message_stop\""u8);
        _frame.End(ref json, MessagesEventAddition.Final);
    }

    private void WriteDelta(ref JsonAppender json)
    {
        _frame.Begin(ref json, MessagesEventKind.MessageDelta);
        json.Raw("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"u8);
        var reason = _translation?.FinishReason ?? call.Answering?.Meter.FinishReason;
        json.String(MessagesReplyWriter.StopReason(call, reason, _translation?.StopSequence, _translation?.HasCalls == true,
            _translation?.HasRefusal == true));
        json.Raw(",\"stop_sequence\":"u8);
        json.String(_translation?.StopSequence);
        json.Raw(",\"stop_details\":null,\"container\":null},\"usage\":"u8);
        MessagesUsageWriter.AppendDelta(ref json, call.Ending?.Usage ?? default);
        _frame.End(ref json);
    }

    private void WriteError(ref JsonAppender json, GatewayError error)
    {
        var body = new ArrayBufferWriter<byte>(512);
        ErrorBodyWriter.WriteBody(body, error, ErrorShape.Anthropic, call.RequestId, call.Site);
        WriteWhole(ref json, MessagesEventKind.Error, body.WrittenSpan, MessagesEventAddition.Final);
    }

    // Every unsuccessful end has an error: the matching one if the call has none of its own.
    private GatewayError? ErrorOfEnding() => call.Ending switch
    {
        { Error: { } error } => error,
        { Outcome: Outcome.ProviderLost } => new GatewayError(ErrorCode.ProviderError, "The model's provider aborted the stream."),
        { Outcome: Outcome.Deadline } => new GatewayError(ErrorCode.DeadlineExceeded, "The deadline of the request passed."),
        { Outcome: Outcome.Failed or Outcome.Cancelled } or null => new GatewayError(ErrorCode.InternalError, "The stream was aborted."),
        _ => null,
    };
}
