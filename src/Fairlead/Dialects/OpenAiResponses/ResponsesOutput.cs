using System.Text.Json;
using Fairlead.Dialects.OpenAiChat;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>The output in responses and events of the Responses dialect.</summary>
internal sealed class ResponsesOutput : INativeOutput
{
    public static readonly ResponsesOutput Instance = new();

    public void ReadBody(JsonElement body, OutputCollector output)
    {
        if (OpenAiWire.Has(body, "output", JsonValueKind.Array, out var items))
        {
            var number = 0;
            foreach (var item in items.EnumerateArray())
            {
                if (item.ValueKind == JsonValueKind.Object) ReadItem(number, item, output);
                number++;
            }
        }
        Finish(body, output);
    }

    public void ReadEvent(JsonElement data, OutputCollector output)
    {
        switch (OpenAiWire.Text(data, "type"))
        {
            case "response.output_text.delta":
                output.Append(0, CollectedPart.Text, OpenAiWire.Text(data, "delta"));
                break;
            case "response.refusal.delta":
                output.Append(0, CollectedPart.Refusal, OpenAiWire.Text(data, "delta"));
                break;
            case "response.reasoning_summary_text.delta" or "response.reasoning_text.delta" or "response.reasoning.delta":
                output.Append(0, CollectedPart.Reasoning, OpenAiWire.Text(data, "delta"));
                break;
            case "response.audio.transcript.delta" or "response.output_audio_transcript.delta":
                output.Append(0, CollectedPart.Transcript, OpenAiWire.Text(data, "delta"));
                break;
            case "response.function_call_arguments.delta" or "response.custom_tool_call_input.delta":
                output.AppendArguments(0, NumberOf(data), OpenAiWire.Text(data, "delta"));
                break;
            case "response.output_item.added" when OpenAiWire.Has(data, "item", JsonValueKind.Object, out var started):
                output.EndPart(0);
                if (OpenAiWire.Text(started, "type") is "function_call" or "custom_tool_call") StartCall(NumberOf(data), started, output);
                break;
            // What has no events of its own pieces is whole here.
            case "response.output_item.done" when OpenAiWire.Has(data, "item", JsonValueKind.Object, out var item)
                && !ResponsesDigest.IsComparableItem(OpenAiWire.Text(item, "type")):
                ReadItem(NumberOf(data), item, output);
                break;
            case "response.completed" or "response.incomplete" or "response.failed"
                when OpenAiWire.Has(data, "response", JsonValueKind.Object, out var response):
                Finish(response, output);
                break;
        }
    }

    private static void ReadItem(long number, JsonElement item, OutputCollector output)
    {
        switch (OpenAiWire.Text(item, "type"))
        {
            case "message":
                ReadTexts(item, "content", CollectedPart.Text, output);
                break;
            case "reasoning":
                ReadTexts(item, "summary", CollectedPart.Reasoning, output);
                ReadTexts(item, "content", CollectedPart.Reasoning, output);
                break;
            case "function_call" or "custom_tool_call":
                StartCall(number, item, output);
                output.AppendArguments(0, number, OpenAiWire.Text(item, "arguments") ?? OpenAiWire.Text(item, "input"));
                break;
            // The bytes of an image, and what is sealed.
            case "image_generation_call" or "compaction":
                break;
            case { Length: > 0 and <= 64 } type:
                output.AddItem(0, type, item);
                break;
        }
        output.EndPart(0);
    }

    private static void ReadTexts(JsonElement item, string name, string type, OutputCollector output)
    {
        if (!OpenAiWire.Has(item, name, JsonValueKind.Array, out var parts)) return;
        foreach (var part in parts.EnumerateArray())
        {
            if (part.ValueKind != JsonValueKind.Object) continue;
            output.Append(0, type, OpenAiWire.Text(part, "text"));
            output.Append(0, CollectedPart.Refusal, OpenAiWire.Text(part, "refusal"));
            output.Append(0, CollectedPart.Transcript, OpenAiWire.Text(part, "transcript"));
        }
    }

    private static void StartCall(long number, JsonElement item, OutputCollector output) =>
        output.StartCall(0, number, OpenAiWire.Text(item, "call_id"), OpenAiWire.Text(item, "name"));

    private static void Finish(JsonElement response, OutputCollector output) => output.Finish(0,
        OpenAiWire.Has(response, "incomplete_details", JsonValueKind.Object, out var details) && OpenAiWire.Text(details, "reason") is { } why
            ? why : OpenAiWire.Text(response, "status"));

    private static long NumberOf(JsonElement data) =>
        OpenAiWire.Has(data, "output_index", JsonValueKind.Number, out var index) && index.TryGetInt64(out var number) ? number : 0;
}
