using System.Buffers;
using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Responses;
using Fairlead.Streaming;
using Fairlead.StructuredOutput;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>OpenAI's Responses API and Open Responses, <c>POST /v1/responses</c> (CONTRACTS 2).</summary>
/// <param name="keeper">State between calls; null keeps nothing.</param>
internal sealed class ResponsesDialect(ResponseKeeper? keeper = null) : Dialect
{
    public override string Name => "openai.responses";

    public override Operation Operation => Operation.Chat;

    public override ErrorShape ErrorShape => ErrorShape.OpenAi;

    public override string InputField => "input";

    public override string Scope => Scopes.Chat;

    /// <summary>It has events for what comes before content, and for failures.</summary>
    public override bool CommitsAtAcceptance => true;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds)
    {
        var fault = ResponsesRequestReader.Read(call, bounds) ?? StructuredWish.Note(call, "text.format");
        if (keeper is null && fault is null) call.Facts.Responses!.Stores = false;
        return fault;
    }

    public override ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken) =>
        keeper is null ? default : keeper.ResolveAsync(call, bounds, cancellationToken);

    public override ValueTask PrepareReplyAsync(GatewayCall call, GatewayReply reply)
    {
        return keeper is null ? default : keeper.KeepAsync(call, ResponseObjectWriter.StatusOf(call.Ending), Response, () => ResponsesReplyWriter.Output(call, reply));

        byte[] Response()
        {
            var output = new ArrayBufferWriter<byte>(2048);
            ResponsesReplyWriter.Write(call, reply, output);
            return output.WrittenSpan.ToArray();
        }
    }

    public override bool IsBackground(GatewayCall call) => call.Facts.Responses?.Background == true;

    public override bool KeepsStream(GatewayCall call) => call.Facts.Stream && IsBackground(call);

    public override GenerationView CreateView(GatewayCall call, GenerationRecord record) => new ResponsesView(call);

    public override bool CanRestart => false;

    public override bool ReadsStreams => true;

    public override GenerationEvent? Understand(ReadOnlySpan<byte> data, int kind) => ResponsesEventReader.Read(data, kind);

    public override GatewayError Place(GatewayCall call, GatewayError error) => ResponsesPlaces.Of(error);

    public override void WriteAccepted(GatewayCall call, IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        new ResponseObjectWriter(call).Append(ref json, "queued", [], withSeals: false);
        json.Flush();
    }

    public override ConversationRequest ToConversation(GatewayCall call) => ResponsesConversationReader.Read(call);

    public override void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) =>
        ResponsesUpstreamBody.Write(call, upstreamModel, output);

    public override bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter) => ResponsesAnswerScanner.Scan(body, meter);

    public override bool ReadsDocumentsAsEvents => true;

    public override IEnumerable<byte[]> EventsOf(ReadOnlyMemory<byte> document, long createdAt) => ResponsesDocument.EventsOf(document);

    public override byte[]? WholeOf(ReadOnlySpan<byte> events) => ResponsesDocument.WholeOf(events);

    public override NativeStreamScanner CreateScanner(AnswerMeter meter, Memory.MemoryLease? memory = null) => new ResponsesStreamScanner(meter, memory);

    public override bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape) => ResponsesDelta.TryFind(data, kind, out shape);

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output) => ResponsesReplyWriter.Write(call, reply, output);

    public override DialectStreamWriter CreateStreamWriter(GatewayCall call) => new ResponsesStreamWriter(call, keeper);
}
