using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>A response that was streamed in the background, as a stream that can be read again.</summary>
/// <param name="call">The request read again.</param>
/// <param name="format">The format of the events.</param>
internal sealed class ResponsesView(GatewayCall call, EventFormat format = EventFormat.ServerSentEvents) : GenerationView
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 1024 };

    private readonly ResponsesStreamWriter _writer = new(call, null, format: format);

    public override void WriteStart(IBufferWriter<byte> output) => _writer.WriteStart(output);

    public override void Write(EventBatch batch, IBufferWriter<byte> output) => _writer.Write(batch, output);

    public override void WriteEnd(GenerationRecord ended, IBufferWriter<byte> output) =>
        _writer.WriteEnd((JsonObject)JsonNode.Parse(Show(call, ended), documentOptions: Parsing)!, output);

    /// <summary>The Response object of a stored generation.</summary>
    public static byte[] Show(GatewayCall call, GenerationRecord record)
    {
        if (record.IsFinal && record.ResultStatus is >= 200 and < 300 && record.Result is { } result) return result;

        var output = new System.Buffers.ArrayBufferWriter<byte>(1024);
        var json = new JsonAppender(output);
        new ResponseObjectWriter(call).Append(ref json, record.Status == GenerationStatus.Queued ? "queued" : "in_progress", [],
            withSeals: false);
        json.Flush();
        var response = (JsonObject)JsonNode.Parse(output.WrittenSpan, documentOptions: Parsing)!;
        response["created_at"] = record.CreatedAt.ToUnixTimeSeconds();
        if (record.IsFinal)
        {
            response["status"] = record.Status == GenerationStatus.Cancelled ? "cancelled" : "failed";
            if (record.Status != GenerationStatus.Cancelled) response["error"] = ErrorOf(record);
        }
        return ResponseJson.Bytes(response);
    }

    /// <summary>The Response object of an unfinished generation, with the items so far.</summary>
    /// <param name="call">The request read again.</param>
    /// <param name="record">The generation.</param>
    /// <param name="events">Its stored events.</param>
    public static byte[] Show(GatewayCall call, GenerationRecord record, IReadOnlyList<GenerationEvent> events)
    {
        var response = (JsonObject)JsonNode.Parse(Show(call, record), documentOptions: Parsing)!;
        var writer = new ResponsesStreamWriter(call, null, collects: true);
        using var batch = new EventBatch();
        foreach (var made in events)
        {
            // Another run started, and all earlier output is void.
            if (made is GenerationRestarted) batch.Clear();
            else batch.Add(made);
        }
        writer.Write(batch, new ArrayBufferWriter<byte>());
        response["output"] = writer.SoFar();
        return ResponseJson.Bytes(response);
    }

    // From the response body of the call: the dialect's own error.
    private static JsonObject ErrorOf(GenerationRecord record)
    {
        var error = record.Result is { Length: > 0 } result && JsonNode.Parse(result, documentOptions: Parsing) is JsonObject { } body
            ? body["error"] as JsonObject
            : null;
        return new JsonObject
        {
            // The dialect's list is closed.
            ["code"] = record.ResultStatus == 429 ? "rate_limit_exceeded"
                : record.ResultStatus is >= 400 and < 500 ? "invalid_prompt"
                : "server_error",
            ["message"] = error?["message"]?.DeepClone() ?? "The response could not be generated.",
        };
    }
}
