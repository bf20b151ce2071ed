using System.Buffers;
using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.StructuredOutput;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>OpenAI Chat Completions (CONTRACTS 1), the lingua franca of the field.</summary>
internal sealed class OpenAiChatDialect : Dialect
{
    public override string Name => "openai.chat";

    public override Operation Operation => Operation.Chat;

    public override bool IsConversation => true;

    public override ErrorShape ErrorShape => ErrorShape.OpenAi;

    public override string Scope => Scopes.Chat;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) => ChatRequestReader.Read(call, bounds) ?? StructuredWish.Note(call, "response_format");

    public override ConversationRequest ToConversation(GatewayCall call) => ChatConversationReader.Read(call);

    public override void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) => UpstreamBody.Write(call, upstreamModel, output);

    public override bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter)
    {
        if (!OpenAiAnswerScanner.TryScan(body, wantModel: true, out var found) || found.IsError || found.Choices == 0 || found.LacksBody) return false;
        meter.FailedReason = found.FailedReason;
        if (found.FailedReason is not null) return false;
        found.Report(meter);
        return true;
    }

    public override NativeStreamScanner CreateScanner(AnswerMeter meter, Memory.MemoryLease? memory = null) => new OpenAiStreamScanner(meter, isChat: true);

    public override bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape) => OpenAiDelta.TryFind(data, out shape);

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.NativeBody native: NativeBodyWriter.Write(call, native.Body.WrittenSpan, output); break;
            case GatewayReply.Complete complete: ChatAnswerWriter.Write(call, complete.Answer, output); break;
            default: throw new InvalidOperationException($"{Name} has no body for {reply.GetType().Name}.");
        }
    }

    public override DialectStreamWriter CreateStreamWriter(GatewayCall call) => new ChatStreamWriter(call);
}
