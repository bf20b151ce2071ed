using System.Buffers;
using System.Collections.Frozen;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>OpenAI's legacy text completions.</summary>
internal sealed class OpenAiCompletionsDialect : IRequestReader, IConversationDialect, IResponseWriter, IStreamResponses
{
    private OpenAiCompletionsDialect()
    {
    }

    public static Dialect Create()
    {
        var parts = new OpenAiCompletionsDialect();
        return new Dialect
        {
            Name = "openai.completions",
            Path = "/v1/completions",
            Operation = Operation.Chat,
            ErrorShape = ErrorShape.OpenAi,
            Scope = Scopes.Chat,
            InputField = "prompt",
            HasMessages = false,
            FieldsWithoutEffect = FrozenSet.Create(StringComparer.Ordinal,
                "model", "fairlead", "stream", "stream_options", "user", "safety_identifier", "metadata"),
            Requests = parts,
            Conversations = parts,
            Native = new CompletionsWire(),
            Responses = parts,
            Streams = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds) => CompletionsRequestReader.Read(call, bounds);

    public ConversationRequest ToConversation(GatewayCall call) => CompletionsConversationReader.Read(call);

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.NativeBody native: NativeBodyWriter.Write(call, native.Body.WrittenSpan, output); break;
            case GatewayReply.Complete complete: WriteComplete(call, complete.Response, output); break;
            default: throw new InvalidOperationException($"Text completions have no body for {reply.GetType().Name}.");
        }
    }

    public DialectStreamWriter CreateWriter(GatewayCall call) => new CompletionsStreamWriter(call);

    private static void Omit(GatewayCall call, OutputChoice choice)
    {
        foreach (var part in choice.Parts)
        {
            if (part is ReasoningPart) CompletionsOmissions.Reasoning(call);
            if (part is ToolCallPart) CompletionsOmissions.ToolCalls(call);
        }
        if (choice.Annotations is { Count: > 0 }) CompletionsOmissions.Annotations(call);
        if (choice.Audio is not null) CompletionsOmissions.Audio(call);
    }

    private static void WriteComplete(GatewayCall call, ModelResponse answer, IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        json.Raw("{\"id\":"u8);
        json.String("cmpl-" + call.GenerationId[(call.GenerationId.IndexOf('_', StringComparison.Ordinal) + 1)..]);
        json.Raw(",\"object\":\"text_completion\",\"created\":"u8);
        json.Number(call.StartedAt.ToUnixTimeSeconds());
        json.Raw(",\"model\":"u8);
        json.String(call.ReportedModel);
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
            var text = ChatResponseWriter.Join(choice.Parts,
                static part => part switch { TextPart t => t.Text, RefusalPart r => r.Text, _ => null }) ?? "";
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
