using System.Buffers;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Responses;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary><c>POST /v1/responses/input_tokens</c>: a Responses request that is counted and not answered.</summary>
internal sealed class InputTokensDialect(ResponseKeeper? keeper = null) : Dialect
{
    public override string Name => "openai.responses.input_tokens";

    public override Operation Operation => Operation.CountTokens;

    public override ErrorShape ErrorShape => ErrorShape.OpenAi;

    public override string InputField => "input";

    public override string Scope => Scopes.Chat;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) => ResponsesRequestReader.ReadCounted(call, bounds);

    public override ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken) =>
        keeper is null ? default : keeper.ResolveAsync(call, bounds, cancellationToken);

    public override GatewayError Place(GatewayCall call, GatewayError error) => ResponsesPlaces.Of(error);

    public override ConversationRequest ToConversation(GatewayCall call) => ResponsesConversationReader.Read(call);

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        if (reply is not GatewayReply.Counted counted) throw new InvalidOperationException($"A count cannot be answered with {reply.GetType().Name}.");
        var json = new JsonAppender(output);
        json.Raw("{\"object\":\"response.input_tokens\",\"input_tokens\":"u8);
        json.Number(counted.InputTokens);
        json.Raw("}"u8);
        json.Flush();
    }
}
