using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Responses;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// <c>POST /v1/responses/compact</c>: the provider that will continue a conversation shortens it. Only a provider with the Responses API
/// can, and only that provider can read the result. Its encrypted content is wrapped with the id of its provider.
/// </summary>
internal sealed class CompactDialect : IRequestReader, IConversationDialect, IResponseWriter
{
    private readonly ResponseKeeper? _keeper;

    private CompactDialect(ResponseKeeper? keeper) => _keeper = keeper;

    /// <param name="keeper">Stores responses between calls; null stores nothing.</param>
    public static Dialect Create(ResponseKeeper? keeper = null)
    {
        var parts = new CompactDialect(keeper);
        return new Dialect
        {
            Name = "openai.responses.compact",
            Path = "/v1/responses/compact",
            Operation = Operation.Chat,
            ErrorShape = ErrorShape.OpenAi,
            Scope = Scopes.Chat,
            InputField = "input",
            MinOutputCap = int.MaxValue,
            Requests = parts,
            Conversations = parts,
            Native = new CompactionWire(),
            Responses = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds)
    {
        var error = ResponsesRequestReader.ReadCounted(call, bounds);
        if (error is not null) return error;
        // The response is not stored.
        call.Facts.Responses!.Stores = false;
        call.Facts.Responses.Background = false;
        return null;
    }

    public ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken) =>
        _keeper is null ? default : _keeper.ResolveAsync(call, bounds, cancellationToken);

    public GatewayError WithClientParameter(GatewayCall call, GatewayError error) => ResponsesParameterNames.Of(error);

    /// <summary>Called for a deployment without this API. It has no such endpoint, so the request is rejected.</summary>
    public ConversationRequest ToConversation(GatewayCall call) =>
        throw new GatewayErrorException(
            GatewayError.Unsupported("model", $"The provider of the model `{call.Facts.Model}` does not support compaction.") with
            {
                Remedy = "Send fewer items, or ask the model for a summary and continue from that. "
                    + "Models whose provider supports the Responses API can compact.",
            });

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        if (reply is not GatewayReply.NativeBody native
            || JsonNode.Parse(native.Body.WrittenSpan,
                documentOptions: new JsonDocumentOptions { MaxDepth = 1024 }) is not JsonObject answer)
        {
            throw new InvalidOperationException($"A compaction has no body for {reply.GetType().Name}.");
        }
        var ours = new NativeResponse(call, new ResponseObjectWriter(call));
        answer["id"] = ResponseIds.Of(call);
        answer["created_at"] = call.StartedAt.ToUnixTimeSeconds();
        foreach (var item in answer["output"]!.AsArray())
        {
            if (item is JsonObject known) ours.Item(known, withSeal: true);
        }
        if (answer["usage"] is not JsonObject || !OpenAiChat.NativeUsage.IsTrusted(call))
        {
            answer["usage"] = JsonNode.Parse(ResponseJson.Usage(call.Ending!.Usage));
        }
        answer.Remove("fairlead");
        if (call.Caller.Extensions)
        {
            var extra = new ArrayBufferWriter<byte>(1024);
            FairleadObjectWriter.WriteFinal(call, extra);
            answer["fairlead"] = JsonNode.Parse(extra.WrittenSpan);
        }
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        answer.WriteTo(json);
    }
}
