using System.Buffers;
using Fairlead.Authentication;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Quirks;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>OpenAI's legacy text completions.</summary>
internal sealed class OpenAiCompletionsDialect : Dialect
{
    public override string Name => "openai.completions";

    public override Operation Operation => Operation.Chat;

    public override ErrorShape ErrorShape => ErrorShape.OpenAi;

    public override string InputField => "prompt";

    public override string Scope => Scopes.Chat;

    public override GatewayError? Read(GatewayCall call, RequestBounds bounds) => CompletionsRequestReader.Read(call, bounds);

    public override ConversationRequest ToConversation(GatewayCall call) => CompletionsConversationReader.Read(call);

    public override void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) => UpstreamBody.Write(call, upstreamModel, output);

    public override bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter)
    {
        if (!OpenAiAnswerScanner.TryScan(body, wantModel: true, out var found) || found.IsError || found.Choices == 0 || found.LacksBody) return false;
        meter.FailedReason = found.FailedReason;
        if (found.FailedReason is not null) return false;
        found.Report(meter);
        return true;
    }

    public override NativeStreamScanner CreateScanner(AnswerMeter meter, Memory.MemoryLease? memory = null) => new OpenAiStreamScanner(meter, isChat: false);

    public override bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape) => OpenAiDelta.TryFind(data, out shape);

    public override bool ReadsDocumentsAsEvents => true;

    /// <summary>A whole completion has the form of its only chunk.</summary>
    public override IEnumerable<byte[]> EventsOf(ReadOnlyMemory<byte> document, long createdAt) =>
        [ChatNormaliser.RepairWhole(document.Span, isChat: false, createdAt) ?? document.ToArray()];

    public override void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.NativeBody native: NativeBodyWriter.Write(call, native.Body.WrittenSpan, output); break;
            case GatewayReply.Complete complete: WriteComplete(call, complete.Answer, output); break;
            default: throw new InvalidOperationException($"{Name} has no body for {reply.GetType().Name}.");
        }
    }

    public override DialectStreamWriter CreateStreamWriter(GatewayCall call) => new CompletionsStreamWriter(call);

    private static void Omit(GatewayCall call, AnswerChoice choice)
    {
        foreach (var part in choice.Parts)
        {
            if (part is ReasoningPart) CompletionsOmissions.Reasoning(call);
            if (part is ToolCallPart) CompletionsOmissions.ToolCalls(call);
        }
        if (choice.Annotations is { Count: > 0 }) CompletionsOmissions.Annotations(call);
        if (choice.Audio is not null) CompletionsOmissions.Audio(call);
    }

    private static void WriteComplete(GatewayCall call, Answer answer, IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        json.Raw("{\"id\":"u8);
        json.String("cmpl-" + call.GenerationId[(call.GenerationId.IndexOf('_', StringComparison.Ordinal) + 1)..]);
        json.Raw(",\"object\":\"text_completion\",\"created\":"u8);
        json.Number(call.StartedAt.ToUnixTimeSeconds());
        json.Raw(",\"model\":"u8);
        json.String(call.Model.Id);
        if (answer.SystemFingerprint is not null)
        {
            json.Raw(",\"system_fingerprint\":"u8);
            json.String(answer.SystemFingerprint);
        }
        json.Raw(",\"choices\":["u8);
        for (var i = 0; i < answer.Choices.Count; i++)
        {
            if (i > 0) json.Raw(","u8);
            var choice = answer.Choices[i];
            Omit(call, choice);
            var text = ChatAnswerWriter.Join(choice.Parts, static part => part switch { TextPart t => t.Text, RefusalPart r => r.Text, _ => null }) ?? "";
            CompletionsStreamWriter.Choice(ref json, choice.Index, text, choice.FinishReason ?? OpenAiJson.ReasonOf(call.Ending));
        }
        json.Raw("],\"usage\":"u8);
        OpenAiJson.AppendUsage(ref json, call.Ending!.Usage);
        if (call.Caller.Extensions)
        {
            json.Raw(",\"fairlead\":"u8);
            FairleadObjectWriter.AppendFinal(ref json, call);
        }
        json.Raw("}"u8);
        json.Flush();
    }
}
