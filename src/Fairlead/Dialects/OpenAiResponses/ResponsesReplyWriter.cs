using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>Writes a whole response for the client.</summary>
internal static class ResponsesReplyWriter
{
    /// <summary>The items of the output with encrypted reasoning, as they are stored.</summary>
    public static byte[] Output(GatewayCall call, GatewayReply reply)
    {
        if (reply is GatewayReply.NativeBody native
            && JsonNode.Parse(native.Body.WrittenSpan, documentOptions: new JsonDocumentOptions { MaxDepth = 1024 }) is JsonObject response)
        {
            new NativeResponse(call, new ResponseObjectWriter(call)).Whole(response, null, withSeals: true, extra: false);
            return ResponseJson.Bytes(response["output"]!);
        }
        return ResponseJson.Items(ResponsesItems.Items(call, ((GatewayReply.Complete)reply).Response, cut: false), withSeals: true);
    }

    public static void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        var writer = new ResponseObjectWriter(call);
        var status = ResponseObjectWriter.StatusOf(call.Ending);
        var seals = call.Facts.Responses!.IncludesSealedReasoning;
        switch (reply)
        {
            case GatewayReply.NativeBody native:
                if (JsonNode.Parse(native.Body.WrittenSpan,
                    documentOptions: new JsonDocumentOptions { MaxDepth = 1024 }) is not JsonObject response)
                {
                    throw new InvalidOperationException("A scanned response is an object.");
                }
                new NativeResponse(call, writer).Whole(response, status, seals);
                using (var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions)) response.WriteTo(json);
                break;
            case GatewayReply.Complete complete:
                var appender = new JsonAppender(output);
                writer.Append(ref appender, status, ResponsesItems.Items(call, complete.Response, cut: status != "completed"), seals);
                appender.Flush();
                break;
            default:
                throw new InvalidOperationException($"The Responses dialect cannot write {reply.GetType().Name}.");
        }
    }
}
