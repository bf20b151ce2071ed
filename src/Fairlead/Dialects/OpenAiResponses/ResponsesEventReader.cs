using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Translates a provider's Responses events to canonical events, for clients of another dialect: text, refusals, readable reasoning and
/// calls of functions and custom tools. Calls are numbered by their position in the output.
/// </summary>
internal static class ResponsesEventReader
{
    public static GenerationEvent? Read(ReadOnlySpan<byte> data, int kind)
    {
        if (kind is not (ResponsesEventKind.Other or ResponsesEventKind.Item)) return null;
        try
        {
            var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
            using var document = JsonDocument.ParseValue(ref reader);
            var root = document.RootElement;
            return root.ValueKind != JsonValueKind.Object ? null : Text(root, "type") switch
            {
                "response.output_text.delta" => new TextDelta(Text(root, "delta") ?? ""),
                "response.refusal.delta" => new RefusalDelta(Text(root, "delta") ?? ""),
                "response.reasoning_summary_text.delta" or "response.reasoning_text.delta" or "response.reasoning.delta" =>
                    new ReasoningDelta(Text(root, "delta") ?? ""),
                "response.function_call_arguments.delta" or "response.custom_tool_call_input.delta" =>
                    new ToolCallDelta(OutputIndexOf(root), Text(root, "delta") ?? ""),
                "response.output_item.added" => Call(root),
                _ => null,
            };
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static ToolCallStarted? Call(JsonElement root)
    {
        if (!root.TryGetProperty("item", out var item) || item.ValueKind != JsonValueKind.Object) return null;
        var type = Text(item, "type");
        if (type is not ("function_call" or "custom_tool_call")) return null;
        return new ToolCallStarted(OutputIndexOf(root), Text(item, "call_id") ?? "", Text(item, "name") ?? "")
        {
            Kind = type == "function_call" ? ToolKind.Function : ToolKind.Custom,
        };
    }

    private static int OutputIndexOf(JsonElement root) =>
        root.TryGetProperty("output_index", out var index) && index.ValueKind == JsonValueKind.Number && index.TryGetInt32(out var place)
            ? place
            : 0;

    private static string? Text(JsonElement at, string name) =>
        at.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
