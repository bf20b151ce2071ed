using System.Buffers;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>Text completion chunks: the same frame as chat, with plain text in the choices.</summary>
internal sealed class CompletionsStreamWriter(GatewayCall call) : OpenAiStreamWriter(call, "cmpl-")
{
    protected override ReadOnlySpan<byte> ObjectName => "text_completion"u8;

    protected override void WriteEvent(GenerationEvent generationEvent, IBufferWriter<byte> output)
    {
        switch (generationEvent)
        {
            case ReasoningDelta: CompletionsOmissions.Reasoning(Call); break;
            case ToolCallStarted: CompletionsOmissions.ToolCalls(Call); break;
            case AnnotationsAdded: CompletionsOmissions.Annotations(Call); break;
            case AudioDelta: CompletionsOmissions.Audio(Call); break;
        }
        // A refusal is output of the model.
        var text = generationEvent switch
        {
            TextDelta delta => delta.Text,
            RefusalDelta refusal => refusal.Text,
            _ => "",
        };
        if (text.Length == 0) return;
        var json = Begin(output);
        Choice(ref json, generationEvent.Choice, text, null);
        End(ref json);
    }

    protected override void AppendFinish(ref JsonAppender json, int choice, FinishReason reason) => Choice(ref json, choice, "", reason);

    internal static void Choice(ref JsonAppender json, int index, string text, FinishReason? reason)
    {
        json.Raw("{\"text\":"u8);
        json.String(text);
        json.Raw(",\"index\":"u8);
        json.Number((long)index);
        json.Raw(",\"logprobs\":null,\"finish_reason\":"u8);
        // The endpoint has no tools; a model that calls one has stopped.
        json.String(reason switch { null => null, FinishReason.ToolCalls => "stop", { } other => FairleadObjectWriter.Word(other) });
        json.Raw("}"u8);
    }
}
