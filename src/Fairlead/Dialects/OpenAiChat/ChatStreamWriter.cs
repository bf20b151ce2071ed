using System.Buffers;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Chat completion chunks.</summary>
internal sealed class ChatStreamWriter(GatewayCall call) : OpenAiStreamWriter(call, "chatcmpl-")
{
    private readonly bool _legacyFunctions = ChatResponseWriter.UsesFunctions(call.Facts);
    private HashSet<(int Choice, int Index)>? _customCalls;

    protected override ReadOnlySpan<byte> ObjectName => "chat.completion.chunk"u8;

    protected override void WriteChoiceStart(int choice, IBufferWriter<byte> output)
    {
        var json = Delta(choice, output);
        json.Raw("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"u8);
        Close(ref json, null);
    }

    protected override void WriteEvent(GenerationEvent generationEvent, IBufferWriter<byte> output)
    {
        switch (generationEvent)
        {
            case TextDelta { Text.Length: > 0 } or TextDelta { Logprobs: not null }:
                var text = (TextDelta)generationEvent;
                var json = Delta(text.Choice, output);
                json.Raw("\"content\":"u8);
                json.String(text.Text);
                Close(ref json, text.Logprobs);
                break;
            case ReasoningDelta reasoning:
                if (reasoning.Redacted is not null || reasoning.Signature is { Length: > 0 }) SealWarning.Add(Call);
                if (reasoning.Text.Length == 0) break;
                json = Delta(reasoning.Choice, output);
                json.Raw(ChatResponseWriter.ReasoningName(Call));
                json.String(reasoning.Text);
                Close(ref json, null);
                break;
            case RefusalDelta { Text.Length: > 0 } refusal:
                json = Delta(refusal.Choice, output);
                json.Raw("\"refusal\":"u8);
                json.String(refusal.Text);
                Close(ref json, null);
                break;
            case ToolCallStarted started:
                if (started.Signature is { Length: > 0 }) SealWarning.Add(Call);
                json = Delta(started.Choice, output);
                Started(ref json, started);
                Close(ref json, null);
                break;
            case ToolCallDelta { Arguments.Length: > 0 } delta:
                json = Delta(delta.Choice, output);
                Arguments(ref json, delta);
                Close(ref json, null);
                break;
            case AnnotationsAdded annotations:
                json = Delta(annotations.Choice, output);
                json.Raw("\"annotations\":"u8);
                json.Node(annotations.Annotations);
                Close(ref json, null);
                break;
            case PartialValue partial: WritePartial(partial, output); break;
            case AudioDelta audio:
                json = Delta(audio.Choice, output);
                json.Raw("\"audio\":"u8);
                json.Node(audio.Audio);
                Close(ref json, null);
                break;
        }
    }

    protected override void AppendFinish(ref JsonAppender json, int choice, FinishReason reason)
    {
        json.Raw("{\"index\":"u8);
        json.Number((long)choice);
        json.Raw(",\"delta\":{},\"logprobs\":null,\"finish_reason\":"u8);
        json.String(ChatResponseWriter.Word(reason, _legacyFunctions));
        json.Raw("}"u8);
    }

    private JsonAppender Delta(int choice, IBufferWriter<byte> output)
    {
        var json = Begin(output);
        json.Raw("{\"index\":"u8);
        json.Number((long)choice);
        json.Raw(",\"delta\":{"u8);
        return json;
    }

    private void Close(ref JsonAppender json, IReadOnlyList<TokenLogprob>? logprobs)
    {
        json.Raw("},\"logprobs\":"u8);
        OpenAiJson.AppendLogprobs(ref json, logprobs);
        json.Raw(",\"finish_reason\":null}"u8);
        End(ref json);
    }

    private void Started(ref JsonAppender json, ToolCallStarted call)
    {
        if (_legacyFunctions)
        {
            json.Raw("\"function_call\":{\"name\":"u8);
            json.String(call.Name);
            json.Raw(",\"arguments\":\"\"}"u8);
            return;
        }
        json.Raw("\"tool_calls\":[{\"index\":"u8);
        json.Number((long)call.Index);
        json.Raw(",\"id\":"u8);
        json.String(call.Id);
        if (call.Kind == ToolKind.Custom)
        {
            (_customCalls ??= []).Add((call.Choice, call.Index));
            json.Raw(",\"type\":\"custom\",\"custom\":{\"name\":"u8);
            json.String(call.Name);
            json.Raw(",\"input\":\"\"}}]"u8);
            return;
        }
        json.Raw(",\"type\":\"function\",\"function\":{\"name\":"u8);
        json.String(call.Name);
        json.Raw(",\"arguments\":\"\"}}]"u8);
    }

    private void Arguments(ref JsonAppender json, ToolCallDelta call)
    {
        if (_legacyFunctions)
        {
            json.Raw("\"function_call\":{\"arguments\":"u8);
            json.String(call.Arguments);
            json.Raw("}"u8);
            return;
        }
        json.Raw("\"tool_calls\":[{\"index\":"u8);
        json.Number((long)call.Index);
        json.Raw(_customCalls?.Contains((call.Choice, call.Index)) == true
            ? ",\"custom\":{\"input\":"u8
            : ",\"function\":{\"arguments\":"u8);
        json.String(call.Arguments);
        json.Raw("}}]"u8);
    }
}
