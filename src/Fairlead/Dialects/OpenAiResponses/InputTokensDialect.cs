using System.Buffers;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Responses;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary><c>POST /v1/responses/input_tokens</c>: a Responses request whose tokens are counted.</summary>
internal sealed class InputTokensDialect : IRequestReader, IConversationDialect, IResponseWriter
{
    private readonly ResponseKeeper? _keeper;

    private InputTokensDialect(ResponseKeeper? keeper) => _keeper = keeper;

    /// <param name="keeper">Stores responses between calls; null stores nothing.</param>
    public static Dialect Create(ResponseKeeper? keeper = null)
    {
        var parts = new InputTokensDialect(keeper);
        return new Dialect
        {
            Name = "openai.responses.input_tokens",
            Path = "/v1/responses/input_tokens",
            Operation = Operation.CountTokens,
            ErrorShape = ErrorShape.OpenAi,
            Scope = Scopes.Chat,
            InputField = "input",
            Requests = parts,
            Conversations = parts,
            Responses = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds) => ResponsesRequestReader.ReadCounted(call, bounds);

    public ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken) =>
        _keeper is null ? default : _keeper.ResolveAsync(call, bounds, cancellationToken);

    public GatewayError WithClientParameter(GatewayCall call, GatewayError error) => ResponsesParameterNames.Of(error);

    public ConversationRequest ToConversation(GatewayCall call) => ResponsesConversationReader.Read(call);

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        if (reply is not GatewayReply.Counted counted)
        {
            throw new InvalidOperationException($"A count has no body for {reply.GetType().Name}.");
        }
        var json = new JsonAppender(output);
        json.Raw("{\"object\":\"response.input_tokens\",\"input_tokens\":"u8);
        json.Number(counted.InputTokens);
        json.Raw("}"u8);
        json.Flush();
    }
}
