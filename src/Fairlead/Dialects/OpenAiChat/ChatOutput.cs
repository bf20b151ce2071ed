using System.Text.Json;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// The output in responses and chunks of OpenAI's two generation endpoints: of both, <c>choices</c> has it, under <c>message</c>,
/// <c>delta</c> or <c>text</c>.
/// </summary>
internal sealed class ChatOutput : INativeOutput
{
    public static readonly ChatOutput Instance = new();

    public void ReadBody(JsonElement body, OutputCollector output) => ReadEvent(body, output);

    public void ReadEvent(JsonElement data, OutputCollector output)
    {
        if (!OpenAiWire.Has(data, "choices", JsonValueKind.Array, out var choices)) return;
        var place = 0;
        foreach (var choice in choices.EnumerateArray())
        {
            if (choice.ValueKind != JsonValueKind.Object) continue;
            var index = NumberOf(choice, place++);
            if (OpenAiWire.Has(choice, "message", JsonValueKind.Object, out var message)
                || OpenAiWire.Has(choice, "delta", JsonValueKind.Object, out message))
            {
                Read(index, message, output);
            }
            output.Append(index, CollectedPart.Text, OpenAiWire.Text(choice, "text"));
            output.Finish(index, OpenAiWire.FinishText(choice));
        }
    }

    private static void Read(int choice, JsonElement message, OutputCollector output)
    {
        output.Append(choice, CollectedPart.Reasoning, OpenAiWire.Reasoning(message));
        if (message.TryGetProperty("content", out var content)) ReadContent(choice, content, CollectedPart.Text, output);
        output.Append(choice, CollectedPart.Refusal, OpenAiWire.Text(message, "refusal"));
        if (OpenAiWire.Has(message, "audio", JsonValueKind.Object, out var audio))
            output.Append(choice, CollectedPart.Transcript, OpenAiWire.Text(audio, "transcript"));
        if (OpenAiWire.Has(message, "tool_calls", JsonValueKind.Array, out var calls))
        {
            var place = 0;
            foreach (var call in calls.EnumerateArray())
            {
                if (call.ValueKind == JsonValueKind.Object) ReadCall(choice, NumberOf(call, place++), call, output);
            }
        }
        // The form before tool_calls.
        if (OpenAiWire.Has(message, "function_call", JsonValueKind.Object, out var old)) ReadCall(choice, -1, null, old, "arguments", output);
    }

    // Some servers return a list of parts.
    private static void ReadContent(int choice, JsonElement content, string type, OutputCollector output)
    {
        if (content.ValueKind == JsonValueKind.String)
        {
            output.Append(choice, type, content.GetString());
            return;
        }
        if (content.ValueKind != JsonValueKind.Array) return;
        foreach (var part in content.EnumerateArray())
        {
            if (part.ValueKind != JsonValueKind.Object) continue;
            output.Append(choice, type, OpenAiWire.Text(part, "text"));
            if (part.TryGetProperty("thinking", out var thinking)) ReadContent(choice, thinking, CollectedPart.Reasoning, output);
        }
    }

    private static void ReadCall(int choice, int number, JsonElement call, OutputCollector output)
    {
        var id = OpenAiWire.Text(call, "id");
        if (OpenAiWire.Has(call, "custom", JsonValueKind.Object, out var custom)) ReadCall(choice, number, id, custom, "input", output);
        else if (OpenAiWire.Has(call, "function", JsonValueKind.Object, out var function))
            ReadCall(choice, number, id, function, "arguments", output);
    }

    private static void ReadCall(int choice, int number, string? id, JsonElement tool, string field, OutputCollector output)
    {
        output.StartCall(choice, number, id, OpenAiWire.Text(tool, "name"));
        if (!tool.TryGetProperty(field, out var arguments)) return;
        output.AppendArguments(choice, number, arguments.ValueKind switch
        {
            JsonValueKind.String => arguments.GetString(),
            JsonValueKind.Object => arguments.GetRawText(),
            _ => null,
        });
    }

    private static int NumberOf(JsonElement from, int place) =>
        OpenAiWire.Has(from, "index", JsonValueKind.Number, out var index) && index.TryGetInt32(out var number) ? number : place;
}
