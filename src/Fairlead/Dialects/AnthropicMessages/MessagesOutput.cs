using System.Text.Json;
using Fairlead.Dialects.OpenAiChat;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>The output in responses and events of Anthropic's dialect.</summary>
internal sealed class MessagesOutput : INativeOutput
{
    public static readonly MessagesOutput Instance = new();

    public void ReadBody(JsonElement body, OutputCollector output)
    {
        if (OpenAiWire.Has(body, "content", JsonValueKind.Array, out var content))
        {
            var number = 0;
            foreach (var block in content.EnumerateArray())
            {
                if (block.ValueKind == JsonValueKind.Object) ReadBlock(number, block, isWhole: true, output);
                number++;
            }
        }
        output.Finish(0, OpenAiWire.Text(body, "stop_reason"));
    }

    public void ReadEvent(JsonElement data, OutputCollector output)
    {
        switch (OpenAiWire.Text(data, "type"))
        {
            case "content_block_start" when OpenAiWire.Has(data, "content_block", JsonValueKind.Object, out var block):
                ReadBlock(NumberOf(data), block, isWhole: false, output);
                break;
            case "content_block_delta" when OpenAiWire.Has(data, "delta", JsonValueKind.Object, out var delta):
                output.Append(0, CollectedPart.Text, OpenAiWire.Text(delta, "text"));
                output.Append(0, CollectedPart.Reasoning, OpenAiWire.Text(delta, "thinking"));
                output.AppendArguments(0, NumberOf(data), OpenAiWire.Text(delta, "partial_json"));
                break;
            case "content_block_stop":
                output.EndPart(0);
                break;
            case "message_delta" when OpenAiWire.Has(data, "delta", JsonValueKind.Object, out var end):
                output.Finish(0, OpenAiWire.Text(end, "stop_reason"));
                break;
        }
    }

    private static void ReadBlock(long number, JsonElement block, bool isWhole, OutputCollector output)
    {
        switch (OpenAiWire.Text(block, "type"))
        {
            case "text":
                output.Append(0, CollectedPart.Text, OpenAiWire.Text(block, "text"));
                break;
            case "thinking":
                output.Append(0, CollectedPart.Reasoning, OpenAiWire.Text(block, "thinking"));
                break;
            // Sealed.
            case "redacted_thinking":
                break;
            case "tool_use" or "server_tool_use" or "mcp_tool_use":
                output.StartCall(0, number, OpenAiWire.Text(block, "id"), OpenAiWire.Text(block, "name"));
                // In a stream it is empty, and comes in pieces.
                if (block.TryGetProperty("input", out var input) && (isWhole || HasMembers(input)))
                    output.AppendArguments(0, number, input.GetRawText());
                break;
            case { Length: > 0 and <= 64 } type:
                output.AddItem(0, type, block);
                break;
        }
        if (isWhole) output.EndPart(0);
    }

    private static bool HasMembers(JsonElement input) => input.ValueKind == JsonValueKind.Object && input.EnumerateObject().Any();

    private static long NumberOf(JsonElement data) =>
        OpenAiWire.Has(data, "index", JsonValueKind.Number, out var index) && index.TryGetInt64(out var number) ? number : 0;
}
