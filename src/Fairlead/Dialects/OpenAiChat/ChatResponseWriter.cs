using System.Buffers;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Writes a canonical response as a whole chat completion.</summary>
internal static class ChatResponseWriter
{
    /// <summary>Whether the client uses functions instead of tools, and so expects <c>function_call</c> in the response.</summary>
    public static bool UsesFunctions(RequestFacts facts) =>
        facts.Paths.TryGetValue(RequestFeatures.Tools, out var path) && path == "functions";

    public static string Word(FinishReason reason, bool legacyFunctions) =>
        legacyFunctions && reason == FinishReason.ToolCalls ? "function_call" : FairleadObjectWriter.Word(reason);

    /// <summary>The member that holds reasoning, with its colon: the <c>reasoningField</c> of the provider that responded.</summary>
    public static ReadOnlySpan<byte> ReasoningName(GatewayCall call) =>
        call.Answering is { Deployment.SaysReasoning: true } ? "\"reasoning\":"u8 : "\"reasoning_content\":"u8;

    public static void Write(GatewayCall call, ModelResponse answer, IBufferWriter<byte> output)
    {
        var legacy = UsesFunctions(call.Facts);
        foreach (var choice in answer.Choices)
        {
            foreach (var part in choice.Parts)
            {
                if (part is ReasoningPart { Signature.Length: > 0 } or ReasoningPart { Redacted: not null }
                    or ToolCallPart { Signature.Length: > 0 })
                {
                    SealWarning.Add(call);
                }
            }
        }
        var json = new JsonAppender(output);
        json.Raw("{\"id\":"u8);
        json.String("chatcmpl-" + call.GenerationId[(call.GenerationId.IndexOf('_', StringComparison.Ordinal) + 1)..]);
        json.Raw(",\"object\":\"chat.completion\",\"created\":"u8);
        json.Number(call.StartedAt.ToUnixTimeSeconds());
        json.Raw(",\"model\":"u8);
        json.String(call.ReportedModel);
        json.Raw(",\"choices\":["u8);
        for (var i = 0; i < answer.Choices.Count; i++)
        {
            if (i > 0) json.Raw(","u8);
            Choice(ref json, answer.Choices[i], OpenAiJson.ReasonOf(call.Ending), legacy, ReasoningName(call));
        }
        json.Raw("],\"usage\":"u8);
        OpenAiJson.AppendUsage(ref json, call.Ending!.Usage);
        if (answer.ServiceTier is not null)
        {
            json.Raw(",\"service_tier\":"u8);
            json.String(answer.ServiceTier);
        }
        if (answer.SystemFingerprint is not null)
        {
            json.Raw(",\"system_fingerprint\":"u8);
            json.String(answer.SystemFingerprint);
        }
        if (call.Caller.Extensions)
        {
            json.Raw(",\"fairlead\":"u8);
            FairleadObjectWriter.AppendFinal(ref json, call);
        }
        json.Raw("}"u8);
        json.Flush();
    }

    private static void Choice(ref JsonAppender json, OutputChoice choice, FinishReason otherwise, bool legacy,
        ReadOnlySpan<byte> reasoningName)
    {
        json.Raw("{\"index\":"u8);
        json.Number((long)choice.Index);
        json.Raw(",\"message\":{\"role\":\"assistant\",\"content\":"u8);
        json.String(Join(choice.Parts, static part => (part as TextPart)?.Text));
        json.Raw(",\"refusal\":"u8);
        json.String(Join(choice.Parts, static part => (part as RefusalPart)?.Text));
        if (Join(choice.Parts, static part => part is ReasoningPart { Text.Length: > 0 } reasoning
            ? reasoning.Text
            : null) is { } reasoning)
        {
            json.Raw(","u8);
            json.Raw(reasoningName);
            json.String(reasoning);
        }
        ToolCalls(ref json, choice.Parts, legacy);
        if (choice.Annotations is { Count: > 0 })
        {
            json.Raw(",\"annotations\":"u8);
            json.Node(choice.Annotations);
        }
        if (choice.Audio is not null)
        {
            json.Raw(",\"audio\":"u8);
            json.Node(choice.Audio);
        }
        json.Raw("},\"logprobs\":"u8);
        OpenAiJson.AppendLogprobs(ref json, choice.Logprobs);
        json.Raw(",\"finish_reason\":"u8);
        json.String(Word(choice.FinishReason ?? otherwise, legacy));
        json.Raw("}"u8);
    }

    private static void ToolCalls(ref JsonAppender json, IReadOnlyList<Part> parts, bool legacy)
    {
        var count = 0;
        foreach (var part in parts)
        {
            if (part is not ToolCallPart call) continue;
            if (legacy)
            {
                json.Raw(",\"function_call\":{\"name\":"u8);
                json.String(call.Name);
                json.Raw(",\"arguments\":"u8);
                json.String(call.Arguments);
                json.Raw("}"u8);
                return;
            }
            json.Raw(count++ == 0 ? ",\"tool_calls\":[{\"id\":"u8 : ",{\"id\":"u8);
            json.String(call.Id);
            var custom = call.Kind == ToolKind.Custom;
            json.Raw(custom ? ",\"type\":\"custom\",\"custom\":{\"name\":"u8 : ",\"type\":\"function\",\"function\":{\"name\":"u8);
            json.String(call.Name);
            json.Raw(custom ? ",\"input\":"u8 : ",\"arguments\":"u8);
            json.String(call.Arguments);
            json.Raw("}}"u8);
        }
        if (count > 0) json.Raw("]"u8);
    }

    /// <summary>The joined texts of one kind of part; null when there is none.</summary>
    internal static string? Join(IReadOnlyList<Part> parts, Func<Part, string?> textOf)
    {
        string? text = null;
        foreach (var part in parts)
        {
            if (textOf(part) is { } more) text = text is null ? more : text + more;
        }
        return text;
    }
}
