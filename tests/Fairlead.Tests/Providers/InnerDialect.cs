using System.Buffers;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Tests.Providers;

/// <summary>A dialect whose request is already canonical. It has no wire format.</summary>
internal sealed class InnerDialect : IRequestReader, IConversationDialect, IEmbeddingsDialect, IResponseWriter
{
    private readonly ConversationRequest? _conversation;
    private readonly EmbeddingsRequest? _embeddings;

    private InnerDialect(ConversationRequest? conversation, EmbeddingsRequest? embeddings)
    {
        _conversation = conversation;
        _embeddings = embeddings;
    }

    public static Dialect Of(Operation operation, ConversationRequest? conversation, EmbeddingsRequest? embeddings)
    {
        var parts = new InnerDialect(conversation, embeddings);
        return new Dialect
        {
            Name = "inner",
            Path = "/inner",
            Operation = operation,
            ErrorShape = ErrorShape.Problem,
            Scope = "*",
            Requests = parts,
            Conversations = conversation is null ? null : parts,
            Embeddings = embeddings is null ? null : parts,
            Responses = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds) => null;

    public ConversationRequest ToConversation(GatewayCall call) => _conversation!;

    public EmbeddingsRequest ToEmbeddings(GatewayCall call) => _embeddings!;

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output) =>
        throw new InvalidOperationException("A call without a wire format has no response body.");
}
