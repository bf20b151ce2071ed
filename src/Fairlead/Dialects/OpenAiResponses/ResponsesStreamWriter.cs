using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Writes a stream of Responses events. It starts when the call is accepted, before any provider has responded, and every
/// ending has its event, also a failure. A provider's own events are forwarded with their ids replaced and renumbered.
/// </summary>
internal sealed class ResponsesStreamWriter : CollectingStreamWriter
{
    private static readonly SearchValues<char> NameLetters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789_.:-");
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 1024 };

    private readonly GatewayCall _call;
    private readonly ResponseKeeper? _keeper;
    private readonly ArrayBufferWriter<byte> _tail = new(256);
    private bool _closed;
    private readonly ResponsesEventFrame _frame;
    private readonly ResponseObjectWriter _writer;
    private readonly ResponsesTranslation _translation;
    private readonly NativeResponse _native;
    private readonly List<JsonObject> _nativeItems = [];
    private readonly Dictionary<string, JsonObject> _openNative = new(StringComparer.Ordinal);
    private readonly Dictionary<string, StringBuilder> _spoken = new(StringComparer.Ordinal);
    private JsonObject? _terminal;
    private readonly bool _collects;
    private readonly EventFormat _format;
    private bool _begun;

    /// <param name="call">The call.</param>
    /// <param name="keeper">Stores the response; null if another component stores it, or none does.</param>
    /// <param name="collects">Whether <see cref="SoFar"/> will be called, which costs memory.</param>
    /// <param name="format">The format of the events.</param>
    public ResponsesStreamWriter(
        GatewayCall call,
        ResponseKeeper? keeper,
        bool collects = false,
        EventFormat format = EventFormat.ServerSentEvents)
    {
        _frame = new ResponsesEventFrame(format);
        _format = format;
        _collects = collects;
        _keeper = keeper;
        _call = call;
        _writer = new ResponseObjectWriter(call);
        _translation = new ResponsesTranslation(call, _frame);
        _native = new NativeResponse(call, _writer);
    }

    public override void WriteStart(IBufferWriter<byte> output)
    {
        if (_begun) return;
        _begun = true;
        var json = new JsonAppender(output);
        var background = _call.Facts.Responses!.Background;
        Lifecycle(ref json, "response.created"u8, background ? "queued" : "in_progress");
        if (background) Lifecycle(ref json, "response.queued"u8, "queued");
        Lifecycle(ref json, "response.in_progress"u8, "in_progress");
        json.Flush();
    }

    public override void Write(EventBatch batch, IBufferWriter<byte> output)
    {
        WriteStart(output);
        var json = new JsonAppender(output);
        foreach (var item in batch.Items)
        {
            if (item.Event is NativeEvent native) Native(ref json, native.Data, native.Kind);
            else if (item.Event is { } generationEvent) _translation.Write(ref json, generationEvent);
            else Native(ref json, batch.DataOf(item), item.Kind);
        }
        json.Flush();
    }

    /// <summary>The items are closed first: what is stored is what the last event will show.</summary>
    public override ValueTask PrepareEndAsync()
    {
        Close();
        return _keeper is null ? default : _keeper.KeepAsync(_call, Status, () => Response(withSeals: false), Output);
    }

    public override byte[] ToWhole() => Response(withSeals: false);

    public override void WriteEnd(IBufferWriter<byte> output)
    {
        Close();
        output.Write(_tail.WrittenSpan);
        var error = ResponseObjectWriter.ErrorOf(_call.Ending);
        var status = Status;
        var json = new JsonAppender(output);
        if (error is not null) Error(ref json, error);
        Terminal(ref json, status);
        _frame.Done(ref json);
        json.Flush();
    }

    /// <summary>The items so far of an unfinished response: a JSON array.</summary>
    public JsonArray SoFar()
    {
        if (_nativeItems.Count == 0 && _openNative.Count == 0)
        {
            return (JsonArray)JsonNode.Parse(ResponseJson.Items(_translation.Items, _call.Facts.Responses!.IncludesSealedReasoning),
                documentOptions: Parsing)!;
        }
        var items = new JsonArray([.. _nativeItems.Select(static item => item.DeepClone())]);
        foreach (var root in _openNative.Values)
        {
            var item = (JsonObject)root["item"]!.DeepClone();
            if (item["type"]?.GetValue<string>() == "message" && _spoken.TryGetValue(item["id"]!.GetValue<string>(), out var text))
            {
                item["content"] =
                    new JsonArray(new JsonObject { ["type"] = "output_text", ["text"] = text.ToString(), ["annotations"] = new JsonArray(),
                        ["logprobs"] = new JsonArray() });
            }
            items.Add(item);
        }
        return items;
    }

    /// <summary>Ends the view of a stored response.</summary>
    /// <param name="response">The stored Response object.</param>
    /// <param name="output">Receives the events.</param>
    public void WriteEnd(JsonObject response, IBufferWriter<byte> output)
    {
        WriteStart(output);
        var status = response["status"]?.GetValue<string>() ?? "failed";
        var json = new JsonAppender(output);
        if (status != "failed" && _translation.Items.Count == 0 && _nativeItems.Count == 0)
        {
            Items(ref json, response["output"] as JsonArray);
        }
        _translation.CloseAll(ref json, cut: status != "completed");
        CloseNative(ref json);
        // A cancelled response has no event of its own: the stream ends, and the response has the status. A connection for messages does
        // not end, so its client gets an error.
        if (status == "cancelled" && _format == EventFormat.JsonLines)
        {
            Error(ref json, new GatewayError(ErrorCode.Conflict, "The response was cancelled before it was complete.")
            {
                Remedy = "Retrieve the response by its id, or send the request again.",
            });
        }
        if (status is "completed" or "incomplete" or "failed")
        {
            if (status == "failed" && response["error"] is JsonObject error)
            {
                var message = error["message"]?.GetValue<string>() ?? "The response could not be generated.";
                var openAiCode = error["code"]?.GetValue<string>() is { } code && FinerCodes.Contains(code) ? code : null;
                Error(ref json, new GatewayError(ErrorCode.InternalError, message) { OpenAiCode = openAiCode });
            }
            _frame.Whole(ref json, "response." + status,
                ResponseJson.Bytes(new JsonObject { ["type"] = "response." + status, ["response"] = response.DeepClone() }));
        }
        _frame.Done(ref json);
        json.Flush();
    }

    // A whole response from a provider of this dialect: its items are used as they are.
    private void Items(ref JsonAppender json, JsonArray? items)
    {
        for (var i = 0; i < items?.Count; i++)
        {
            foreach (var type in (ReadOnlySpan<string>)["response.output_item.added", "response.output_item.done"])
            {
                _frame.Whole(ref json, type,
                    ResponseJson.Bytes(new JsonObject { ["type"] = type, ["output_index"] = i, ["item"] = items[i]!.DeepClone() }));
            }
        }
    }

    private string Status => ResponseObjectWriter.ErrorOf(_call.Ending) is null ? ResponseObjectWriter.StatusOf(_call.Ending) : "failed";

    private void Close()
    {
        if (_closed) return;
        _closed = true;
        WriteStart(_tail);
        var json = new JsonAppender(_tail);
        _translation.CloseAll(ref json, cut: Status != "completed");
        CloseNative(ref json);
        json.Flush();
    }

    // As stored; the last event is rendered separately, because it must also report a failure to store.
    private byte[] Response(bool withSeals)
    {
        var seals = withSeals || _call.Facts.Responses!.IncludesSealedReasoning;
        if (_terminal is not null && Status != "failed")
        {
            var copy = (JsonObject)_terminal["response"]!.DeepClone();
            _native.Whole(copy, Status, seals);
            return ResponseJson.Bytes(copy);
        }
        var output = new ArrayBufferWriter<byte>(2048);
        var json = new JsonAppender(output);
        AppendGatewayMembers(ref json, Status, seals);
        json.Flush();
        return output.WrittenSpan.ToArray();
    }

    private byte[] Output()
    {
        if (_terminal is null || Status == "failed")
        {
            return _nativeItems.Count == 0 ? ResponseJson.Items(_translation.Items, withSeals: true) : "[]"u8.ToArray();
        }
        var copy = (JsonObject)_terminal["response"]!.DeepClone();
        _native.Whole(copy, Status, withSeals: true, extra: false);
        return ResponseJson.Bytes(copy["output"]!);
    }

    private void Lifecycle(ref JsonAppender json, ReadOnlySpan<byte> type, string status)
    {
        _frame.Begin(ref json, type);
        json.Raw(",\"response\":"u8);
        _writer.Append(ref json, status, [], withSeals: false, extra: type.SequenceEqual("response.created"u8));
        _frame.End(ref json);
    }

    private void Terminal(ref JsonAppender json, string status)
    {
        var seals = _call.Facts.Responses!.IncludesSealedReasoning;
        if (_terminal is not null && status != "failed")
        {
            _terminal["type"] = $"response.{status}";
            _native.Whole((JsonObject)_terminal["response"]!, status, seals);
            _frame.Whole(ref json, $"response.{status}", ResponseJson.Bytes(_terminal));
            return;
        }
        _frame.Begin(ref json, status switch
        {
            "completed" => "response.completed"u8,
            "incomplete" => "response.incomplete"u8,
            _ => "response.failed"u8,
        });
        json.Raw(",\"response\":"u8);
        AppendGatewayMembers(ref json, status, seals);
        _frame.End(ref json);
    }

    private void AppendGatewayMembers(ref JsonAppender json, string status, bool seals)
    {
        if (_nativeItems.Count == 0)
        {
            _writer.Append(ref json, status, _translation.Items, seals);
        }
        else
        {
            // A provider's response that failed: complete items are shown.
            var own = new ArrayBufferWriter<byte>(2048);
            var inner = new JsonAppender(own);
            _writer.Append(ref inner, status, [], withSeals: false);
            inner.Flush();
            var response = (JsonObject)JsonNode.Parse(own.WrittenSpan, documentOptions: Parsing)!;
            response["output"] = new JsonArray([.. _nativeItems.Select(static item => item.DeepClone())]);
            json.Raw(ResponseJson.Bytes(response));
        }
    }

    // Both forms at once: flat as documented, nested as first-party servers and Open Responses use it.
    private void Error(ref JsonAppender json, GatewayError error)
    {
        var body = new ArrayBufferWriter<byte>(512);
        ErrorBodyWriter.WriteBody(body, error, ErrorShape.OpenAi, _call.RequestId, _call.Site);
        _frame.Begin(ref json, "error"u8);
        json.Raw(",\"code\":"u8);
        json.String(error.OpenAiCode ?? error.Definition.Name);
        json.Raw(",\"message\":"u8);
        json.String(error.Message);
        json.Raw(",\"param\":"u8);
        json.String(error.Parameter);
        json.Raw(","u8);
        json.Raw(body.WrittenSpan[1..^1]);
        _frame.End(ref json);
    }

    private void Native(ref JsonAppender json, scoped ReadOnlySpan<byte> data, int kind)
    {
        if (kind == ResponsesEventKind.Lifecycle || data.SequenceEqual("[DONE]"u8)) return;
        try
        {
            data = GatewayJsonFields.Without(data.Trim(" \t\r\n"u8));
            var type = NativeChunk.Text(data, "type"u8);
            // It becomes the event's name, so it must not contain a line end.
            if (type is null || type.AsSpan().ContainsAnyExcept(NameLetters)) throw new JsonException();
            switch (kind)
            {
                case ResponsesEventKind.Terminal:
                    _terminal = Member(data, "response").Root;
                    break;
                case ResponsesEventKind.Item:
                    WholeItem(ref json, type, data);
                    break;
                default:
                    Delta(ref json, type, data);
                    break;
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            // Unreadable, for example because of a duplicate member: left out, and reported at the end.
            if (_call.Answering is { } answering) answering.Meter.SkippedEvents++;
        }
    }

    private void WholeItem(ref JsonAppender json, string type, scoped ReadOnlySpan<byte> data)
    {
        var (root, item) = Member(data, "item");
        _native.Item(item, _call.Facts.Responses!.IncludesSealedReasoning);
        var bytes = ResponseJson.Bytes(root);
        var id = item["id"]!.GetValue<string>();
        _openNative.Remove(id);
        if (type == "response.output_item.done") _nativeItems.Add((JsonObject)item.DeepClone());
        else _openNative[id] = root;
        _frame.Whole(ref json, type, bytes);
    }

    // A provider that aborted has left items open; clients wait for their end.
    private void CloseNative(ref JsonAppender json)
    {
        foreach (var root in _openNative.Values)
        {
            root["type"] = "response.output_item.done";
            root["item"]!["status"] = "incomplete";
            _frame.Whole(ref json, "response.output_item.done", ResponseJson.Bytes(root));
        }
        _openNative.Clear();
    }

    private static (JsonObject Root, JsonObject Inner) Member(ReadOnlySpan<byte> data, string name) =>
        JsonNode.Parse(data, documentOptions: Parsing) is JsonObject root && root[name] is JsonObject inner
            ? (root, inner)
            : throw new JsonException();

    private void Delta(ref JsonAppender json, string type, scoped ReadOnlySpan<byte> data)
    {
        var id = NativeChunk.Find(data, "item_id"u8, JsonTokenType.String);
        if (_collects && type == "response.output_text.delta" && !id.IsEmpty)
        {
            var item = _native.IdOf(NativeChunk.Text(data, "item_id"u8) ?? "");
            if (!_spoken.TryGetValue(item, out var spoken)) _spoken[item] = spoken = new StringBuilder();
            spoken.Append(NativeChunk.Text(data, "delta"u8));
        }
        var copy = new ArrayBufferWriter<byte>(data.Length + 64);
        if (id.IsEmpty)
        {
            copy.Write(data);
        }
        else
        {
            copy.Write(data[..id.Start]);
            copy.Write(BodySplicer.Quote(_native.IdOf(NativeChunk.Text(data, "item_id"u8) ?? "")));
            copy.Write(data[id.End..]);
        }
        var line = copy.WrittenSpan.ToArray();
        // In JSON a raw line break is white space between tokens; as a space it keeps the event on one line.
        line.AsSpan().Replace((byte)'\n', (byte)' ');
        line.AsSpan().Replace((byte)'\r', (byte)' ');
        _frame.Whole(ref json, type, line);
    }
}
