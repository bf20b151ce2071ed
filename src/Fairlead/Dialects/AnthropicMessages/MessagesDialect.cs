using System.Buffers;
using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Anthropic's Messages API, <c>POST /v1/messages</c> (CONTRACTS 4).</summary>
internal sealed class MessagesDialect : Dialect
{
    public override string Name => "anthropic.messages";

    public override Operation Operation => Operation.Chat;

    public override bool IsConversation => true;

    public override ErrorShape ErrorShape => ErrorShape.Anthropic;

    public override string Scope => Scopes.Chat;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) => MessagesRequestReader.Read(call, bounds, countOnly: false);

    public override ConversationRequest ToConversation(GatewayCall call) => MessagesConversationReader.Read(call);

    public override void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) =>
        MessagesUpstreamBody.Write(call, upstreamModel, output);

    public override bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter) => MessagesAnswerScanner.Scan(body, meter);

    public override NativeStreamScanner CreateScanner(AnswerMeter meter, Memory.MemoryLease? memory = null) => new MessagesStreamScanner(meter);

    public override bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape) => MessagesDelta.TryFind(data, kind, out shape);

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output) => MessagesReplyWriter.Write(call, reply, output);

    public override DialectStreamWriter CreateStreamWriter(GatewayCall call) => new MessagesStreamWriter(call);
}
