using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Writes whole responses as message objects.</summary>
internal static class MessagesReplyWriter
{
    public static void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        switch (reply)
        {
            case GatewayReply.NativeBody native: WriteNative(call, native.Body.WrittenSpan, output); break;
            case GatewayReply.Complete complete: WriteAnswer(call, complete.Response, output); break;
            default: throw new InvalidOperationException($"A message cannot be written from {reply.GetType().Name}.");
        }
    }

    /// <summary>The id of the message of a call.</summary>
    public static string MessageId(GatewayCall call) =>
        string.Concat("msg_", call.GenerationId.AsSpan(call.GenerationId.IndexOf('_', StringComparison.Ordinal) + 1));

    private static void WriteNative(GatewayCall call, ReadOnlySpan<byte> body, IBufferWriter<byte> output)
    {
        body = MessagesUsageWriter.Correct(call, GatewayJsonFields.Without(body), isDelta: false);
        var model = MessagesResponseScanner.FindModel(body);
        var end = body.LastIndexOf((byte)'}');
        if (model.IsEmpty)
        {
            output.Write(body[..end]);
        }
        else
        {
            output.Write(body[..model.Start]);
            output.Write(BodySplicer.Quote(call.ReportedModel));
            output.Write(body[model.End..end]);
        }
        // A scanned response has members, so the comma is always correct.
        if (call.Caller.Extensions)
        {
            output.Write(",\"fairlead\":"u8);
            FairleadObjectWriter.WriteFinal(call, output);
        }
        output.Write("}"u8);
    }

    private static void WriteAnswer(GatewayCall call, ModelResponse answer, IBufferWriter<byte> output)
    {
        var choice = answer.Choices.Count > 0 ? answer.Choices[0] : new OutputChoice(0, [], null);
        var json = new JsonAppender(output);
        json.Raw("{\"id\":"u8);
        json.String(MessageId(call));
        json.Raw(",\"type\":\"message\",\"role\":\"assistant\",\"model\":"u8);
        json.String(call.ReportedModel);
        json.Raw(",\"content\":["u8);
        var blocks = 0;
        var (calls, refused) = (false, false);
        foreach (var part in choice.Parts)
        {
            calls |= part is ToolCallPart;
            refused |= part is RefusalPart;
            AppendPart(ref json, call, part, ref blocks);
        }
        json.Raw("],\"stop_reason\":"u8);
        json.String(StopReason(call, choice.FinishReason, choice.StopSequence, calls, refused));
        json.Raw(",\"stop_sequence\":"u8);
        json.String(choice.StopSequence);
        json.Raw(",\"stop_details\":null,\"container\":null,\"usage\":"u8);
        MessagesUsageWriter.Append(ref json, call.Ending?.Usage ?? default);
        if (choice.Audio is not null) WarnOfAudio(call);
        if (choice.Annotations is { Count: > 0 })
        {
            call.Warn("annotations_omitted", "This API cannot represent the annotations of the response; they were left out.");
        }
        if (call.Caller.Extensions)
        {
            json.Raw(",\"fairlead\":"u8);
            FairleadObjectWriter.AppendFinal(ref json, call);
        }
        json.Raw("}"u8);
        json.Flush();
    }

    public static void WarnOfAudio(GatewayCall call) =>
        call.Warn("output_omitted", "This API cannot represent the audio of the response; it was left out.");

    /// <summary>
    /// The reason in this dialect. Calls without a reason of their own (OpenAI reports <c>stop</c> after a forced tool) are
    /// <c>tool_use</c>, and a refusal's text is a <c>refusal</c>.
    /// </summary>
    public static string StopReason(GatewayCall call, FinishReason? reason, string? stopSequence, bool hasCalls, bool hasRefusal)
    {
        var known = reason ?? call.Ending?.Outcome switch
        {
            Conversation.Outcome.Length or Conversation.Outcome.Budget => FinishReason.Length,
            Conversation.Outcome.ToolCalls => FinishReason.ToolCalls,
            Conversation.Outcome.ContentFilter => FinishReason.ContentFilter,
            _ => FinishReason.Stop,
        };
        if (known == FinishReason.Stop && hasRefusal) known = FinishReason.ContentFilter;
        if (known == FinishReason.Stop && hasCalls) known = FinishReason.ToolCalls;
        return StopReasons.Write(known, stopSequence);
    }

    private static void AppendPart(ref JsonAppender json, GatewayCall call, Part part, ref int blocks)
    {
        if (part is ReasoningPart { Signature.Length: > 0 } or ToolCallPart { Signature.Length: > 0 }) SealWarning.Add(call);
        switch (part)
        {
            case TextPart { Text.Length: > 0 } text:
                AppendText(ref json, text.Text, ref blocks);
                break;
            case RefusalPart { Text.Length: > 0 } refusal:
                AppendText(ref json, refusal.Text, ref blocks);
                break;
            case ReasoningPart { Redacted: { } redacted }:
                Comma(ref json, ref blocks);
                json.Raw("{\"type\":\"redacted_thinking\",\"data\":"u8);
                json.String(redacted);
                json.Raw("}"u8);
                break;
            case ReasoningPart { Text.Length: > 0 } reasoning:
                Comma(ref json, ref blocks);
                json.Raw("{\"type\":\"thinking\",\"thinking\":"u8);
                json.String(reasoning.Text);
                // Anthropic does not know another vendor's signature; an empty one marks the block as foreign when a client sends it back.
                json.Raw(",\"signature\":\"\"}"u8);
                break;
            case ToolCallPart tool:
                Comma(ref json, ref blocks);
                json.Raw("{\"type\":\"tool_use\",\"id\":"u8);
                json.String(tool.Id);
                json.Raw(",\"name\":"u8);
                json.String(tool.Name);
                json.Raw(",\"input\":"u8);
                AppendInput(ref json, call, tool);
                json.Raw(",\"caller\":{\"type\":\"direct\"}}"u8);
                break;
        }
    }

    private static void AppendText(ref JsonAppender json, string text, ref int blocks)
    {
        Comma(ref json, ref blocks);
        json.Raw("{\"type\":\"text\",\"text\":"u8);
        json.String(text);
        json.Raw("}"u8);
    }

    // The dialect requires an object, but a model may write anything, and a response can be truncated inside the arguments.
    private static void AppendInput(ref JsonAppender json, GatewayCall call, ToolCallPart tool)
    {
        if (string.IsNullOrWhiteSpace(tool.Arguments))
        {
            json.Raw("{}"u8);
            return;
        }
        try
        {
            using var document = JsonDocument.Parse(tool.Arguments);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                json.Raw(System.Text.Encoding.UTF8.GetBytes(tool.Arguments));
                return;
            }
        }
        catch (JsonException)
        {
            // Reported below.
        }
        call.Warn("invalid_tool_arguments",
            "The model returned tool call arguments that are not a JSON object; they are in the member 'invalid_arguments' as text.");
        json.Raw("{\"invalid_arguments\":"u8);
        json.String(tool.Arguments);
        json.Raw("}"u8);
    }

    private static void Comma(ref JsonAppender json, ref int blocks)
    {
        if (blocks++ > 0) json.Raw(","u8);
    }
}
