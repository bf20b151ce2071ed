using System.Buffers;
using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Anthropic's Messages API, <c>POST /v1/messages</c>.</summary>
internal sealed class MessagesDialect : IRequestReader, IConversationDialect, IResponseWriter, IStreamResponses
{
    /// <summary>The name of the dialect in records.</summary>
    public static readonly string Name = "anthropic.messages";

    private MessagesDialect()
    {
    }

    public bool WarnsOfEveryLoss => true;

    public static Dialect Create()
    {
        var parts = new MessagesDialect();
        return new Dialect
        {
            Name = Name,
            Path = "/v1/messages",
            Operation = Operation.Chat,
            ErrorShape = ErrorShape.Anthropic,
            Scope = Scopes.Chat,
            FieldsWithoutEffect = FrozenSet.Create(StringComparer.Ordinal,
                "model", "fairlead", "stream", "metadata"),
            Requests = parts,
            Conversations = parts,
            Native = new MessagesWire(),
            Responses = parts,
            Streams = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds) => MessagesRequestReader.Read(call, bounds, countOnly: false);

    public ConversationRequest ToConversation(GatewayCall call) => MessagesConversationReader.Read(call);

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output) => MessagesReplyWriter.Write(call, reply, output);

    public DialectStreamWriter CreateWriter(GatewayCall call) => new MessagesStreamWriter(call);
}
