using System.Buffers;
using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>OpenAI's Responses API and Open Responses, <c>POST /v1/responses</c> (CONTRACTS 2).</summary>
internal sealed class ResponsesDialect : Dialect
{
    public override string Name => "openai.responses";

    public override Operation Operation => Operation.Chat;

    public override ErrorShape ErrorShape => ErrorShape.OpenAi;

    public override string InputField => "input";

    public override string Scope => Scopes.Chat;

    /// <summary>It has events for what comes before content, and for failures.</summary>
    public override bool CommitsAtAcceptance => true;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) => ResponsesRequestReader.Read(call, bounds);

    public override ConversationRequest ToConversation(GatewayCall call) => ResponsesConversationReader.Read(call);

    public override void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) =>
        ResponsesUpstreamBody.Write(call, upstreamModel, output);

    public override bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter) => ResponsesAnswerScanner.Scan(body, meter);

    public override NativeStreamScanner CreateScanner(AnswerMeter meter) => new ResponsesStreamScanner(meter);

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output) => ResponsesReplyWriter.Write(call, reply, output);

    public override DialectStreamWriter CreateStreamWriter(GatewayCall call) => new ResponsesStreamWriter(call);
}
