using System.Buffers;
using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Streaming;
using Fairlead.StructuredOutput;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>OpenAI's Responses API and Open Responses, <c>POST /v1/responses</c>.</summary>
internal sealed class ResponsesDialect
    : IRequestReader, IConversationDialect, IResponseWriter, IStreamResponses, IStoredStreams, IMessageStreams, IBackgroundRequests
{
    private readonly ResponseKeeper? _keeper;

    private ResponsesDialect(ResponseKeeper? keeper) => _keeper = keeper;

    /// <summary>A run of a response cannot declare the events of an earlier run void.</summary>
    public bool CanRestart => false;

    /// <summary>It has events for progress and for failures.</summary>
    public bool CommitsAtAcceptance => true;

    /// <param name="keeper">Stores responses between calls; null stores nothing.</param>
    public static Dialect Create(ResponseKeeper? keeper = null)
    {
        var parts = new ResponsesDialect(keeper);
        return new Dialect
        {
            Name = "openai.responses",
            Path = "/v1/responses",
            Operation = Operation.Chat,
            ErrorShape = ErrorShape.OpenAi,
            Scope = Scopes.Chat,
            InputField = "input",
            MinOutputCap = ResponsesRequestReader.MinOutput,
            HasSessions = true,
            // Not 'metadata': the response repeats it.
            FieldsWithoutEffect = FrozenSet.Create(StringComparer.Ordinal,
                "model", "fairlead", "stream", "stream_options", "user", "safety_identifier", "prompt_cache_key",
                "prompt_cache_retention"),
            Requests = parts,
            Conversations = parts,
            Native = new ResponsesWire(keeper),
            Responses = parts,
            Streams = parts,
            StoredStreams = parts,
            Messages = parts,
            Background = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds)
    {
        var error = ResponsesRequestReader.Read(call, bounds) ?? OutputCheck.Note(call, "text.format");
        if (_keeper is null && error is null) call.Facts.Responses!.Stores = false;
        return error;
    }

    public ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken) =>
        _keeper is null ? default : _keeper.ResolveAsync(call, bounds, cancellationToken);

    public GatewayError WithClientParameter(GatewayCall call, GatewayError error) => ResponsesParameterNames.Of(error);

    public bool KeepsMeaning(GatewayCall call) => LosslessResponses.Allows(call);

    public ConversationRequest ToConversation(GatewayCall call) => ResponsesConversationReader.Read(call);

    public ValueTask PrepareAsync(GatewayCall call, GatewayReply reply)
    {
        return _keeper is null
            ? default
            : _keeper.KeepAsync(call, ResponseObjectWriter.StatusOf(call.Ending), Response, () => ResponsesReplyWriter.Output(call, reply));

        byte[] Response()
        {
            var output = new ArrayBufferWriter<byte>(2048);
            ResponsesReplyWriter.Write(call, reply, output);
            return output.WrittenSpan.ToArray();
        }
    }

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output) => ResponsesReplyWriter.Write(call, reply, output);

    public DialectStreamWriter CreateWriter(GatewayCall call) => new ResponsesStreamWriter(call, _keeper);

    public DialectStreamWriter CreateMessageWriter(GatewayCall call) =>
        new ResponsesStreamWriter(call, _keeper, format: EventFormat.JsonLines);

    public bool IsBackground(GatewayCall call) => call.Facts.Responses?.Background == true;

    public void WriteAccepted(GatewayCall call, IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        new ResponseObjectWriter(call).Append(ref json, "queued", [], withSeals: false);
        json.Flush();
    }

    public bool IsStored(GatewayCall call) => call.Streams && IsBackground(call);

    public GenerationView CreateView(GatewayCall call, GenerationRecord record) => new ResponsesView(call);

    public GenerationView CreateMessageView(GatewayCall call, GenerationRecord record) => new ResponsesView(call, EventFormat.JsonLines);
}
