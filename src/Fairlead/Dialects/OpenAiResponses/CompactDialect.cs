using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// <c>POST /v1/responses/compact</c>: a conversation made short by the provider that will go on with it. Only one that speaks Responses can, and only it can read the result: what
/// it sealed is sealed once more with whose it is. Everywhere else it is refused.
/// </summary>
internal sealed class CompactDialect(ResponseKeeper? keeper = null) : Dialect
{
    public override string Name => "openai.responses.compact";

    public override Operation Operation => Operation.Chat;

    public override ErrorShape ErrorShape => ErrorShape.OpenAi;

    public override string InputField => "input";

    public override string Scope => Scopes.Chat;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds)
    {
        var fault = ResponsesRequestReader.ReadCounted(call, bounds);
        if (fault is not null) return fault;
        // The answer is kept nowhere.
        call.Facts.Responses!.Stores = false;
        call.Facts.Responses.Background = false;
        return null;
    }

    public override ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken) =>
        keeper is null ? default : keeper.ResolveAsync(call, bounds, cancellationToken);

    public override GatewayError Place(GatewayCall call, GatewayError error) => ResponsesPlaces.Of(error);

    /// <summary>Asked for by a deployment that does not speak the dialect: there is no such thing.</summary>
    public override ConversationRequest ToConversation(GatewayCall call) =>
        throw new GatewayErrorException(GatewayError.Unsupported("model", $"The provider of the model `{call.Facts.Model}` does not compact conversations.") with
        {
            Remedy = "Send fewer items, or ask the model for a summary and go on from that. Models whose provider speaks the Responses API compact.",
        });

    public override void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) =>
        ResponsesUpstreamBody.Write(call, upstreamModel, output, isCompaction: true);

    public override bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter) => ResponsesAnswerScanner.ScanCompaction(body, meter);

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        if (reply is not GatewayReply.NativeBody native || JsonNode.Parse(native.Body.WrittenSpan, documentOptions: new JsonDocumentOptions { MaxDepth = 1024 }) is not JsonObject answer)
        {
            throw new InvalidOperationException($"A compaction cannot be answered with {reply.GetType().Name}.");
        }
        var ours = new NativeResponse(call, new ResponseObjectWriter(call));
        answer["id"] = ResponseIds.Of(call);
        answer["created_at"] = call.StartedAt.ToUnixTimeSeconds();
        foreach (var item in answer["output"]!.AsArray())
        {
            if (item is JsonObject known) ours.Item(known, withSeal: true);
        }
        if (answer["usage"] is not JsonObject || !OpenAiChat.NativeUsage.Stands(call)) answer["usage"] = JsonNode.Parse(ResponseJson.Usage(call.Ending!.Usage));
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
