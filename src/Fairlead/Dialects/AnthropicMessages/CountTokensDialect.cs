using System.Buffers;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Anthropic's token counting, <c>POST /v1/messages/count_tokens</c>: counts the tokens of a Messages request.</summary>
internal sealed class CountTokensDialect : IRequestReader, IConversationDialect, IResponseWriter
{
    private CountTokensDialect()
    {
    }

    public static Dialect Create()
    {
        var parts = new CountTokensDialect();
        return new Dialect
        {
            Name = "anthropic.count_tokens",
            Path = "/v1/messages/count_tokens",
            Operation = Operation.CountTokens,
            ErrorShape = ErrorShape.Anthropic,
            Scope = Scopes.Chat,
            Requests = parts,
            Conversations = parts,
            Native = new CountTokensWire(),
            Responses = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds) => MessagesRequestReader.Read(call, bounds, countOnly: true);

    public ConversationRequest ToConversation(GatewayCall call) => MessagesConversationReader.Read(call);

    /// <summary>Writes the count alone. The object has no other members, so nothing can be added.</summary>
    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.Counted counted:
                var json = new JsonAppender(output);
                json.Raw("{\"input_tokens\":"u8);
                json.Number(counted.InputTokens);
                json.Raw("}"u8);
                json.Flush();
                break;
            case GatewayReply.NativeBody native:
                output.Write(native.Body.WrittenSpan);
                break;
            default:
                throw new InvalidOperationException($"A count has no body for {reply.GetType().Name}.");
        }
    }
}
