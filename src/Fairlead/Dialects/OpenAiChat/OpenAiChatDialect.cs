using System.Buffers;
using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.StructuredOutput;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>OpenAI Chat Completions, the most widely supported API.</summary>
internal sealed class OpenAiChatDialect : IRequestReader, IConversationDialect, IResponseWriter, IStreamResponses
{
    private OpenAiChatDialect()
    {
    }

    public bool WarnsOfEveryLoss => true;

    public static Dialect Create()
    {
        var parts = new OpenAiChatDialect();
        return new Dialect
        {
            Name = "openai.chat",
            Path = "/v1/chat/completions",
            Operation = Operation.Chat,
            ErrorShape = ErrorShape.OpenAi,
            Scope = Scopes.Chat,
            FieldsWithoutEffect = FrozenSet.Create(StringComparer.Ordinal,
                "model", "fairlead", "stream", "stream_options", "user", "safety_identifier", "metadata", "prompt_cache_key",
                "prompt_cache_options", "prompt_cache_retention"),
            Requests = parts,
            Conversations = parts,
            Native = new ChatWire(),
            Responses = parts,
            Streams = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds) =>
        ChatRequestReader.Read(call, bounds) ?? OutputCheck.Note(call, "response_format");

    public ConversationRequest ToConversation(GatewayCall call) => ChatConversationReader.Read(call);

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.NativeBody native: NativeBodyWriter.Write(call, native.Body.WrittenSpan, output); break;
            case GatewayReply.Complete complete: ChatResponseWriter.Write(call, complete.Response, output); break;
            default: throw new InvalidOperationException($"Chat Completions have no body for {reply.GetType().Name}.");
        }
    }

    public DialectStreamWriter CreateWriter(GatewayCall call) => new ChatStreamWriter(call);
}
