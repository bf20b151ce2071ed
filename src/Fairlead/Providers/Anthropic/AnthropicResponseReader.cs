using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;

namespace Fairlead.Providers.Anthropic;

/// <summary>Translates a whole message to a canonical response.</summary>
internal static class AnthropicResponseReader
{
    /// <summary>The response, or null when the body is not a complete message. Updates the meter.</summary>
    public static ModelResponse? Read(ReadOnlyMemory<byte> body, GatewayCall call, OutputMeter meter)
    {
        try
        {
            if (!MessagesResponseScanner.Scan(body.Span, meter, out var repaired) || meter.FinishReason is not { } reason) return null;
            if (repaired is not null) body = repaired;
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 256 });
            var root = document.RootElement;
            var parts = new List<Part>();
            JsonArray? annotations = null;
            var letters = 0;
            foreach (var block in root.GetProperty("content").EnumerateArray())
            {
                switch (Text(block, "type"))
                {
                    case "text" when Text(block, "text") is { Length: > 0 } text:
                        parts.Add(new TextPart(text));
                        letters += text.Length;
                        if (!block.TryGetProperty("citations", out var citations) || citations.ValueKind != JsonValueKind.Array) break;
                        foreach (var citation in citations.EnumerateArray())
                        {
                            if (AnthropicAnnotations.Of(citation, letters) is { } annotation)
                            {
                                (annotations ??= []).Add((JsonNode)annotation);
                            }
                            else AnthropicOmissions.Citation(call);
                        }
                        break;
                    case "thinking":
                        parts.Add(new ReasoningPart(Text(block, "thinking") ?? "", Text(block, "signature")));
                        break;
                    case "redacted_thinking":
                        parts.Add(new ReasoningPart("", null) { Redacted = Text(block, "data") ?? "" });
                        break;
                    case "tool_use":
                        parts.Add(new ToolCallPart(Text(block, "id") ?? "", Text(block, "name") ?? "",
                            block.GetProperty("input").GetRawText()));
                        break;
                    case not "text":
                        AnthropicOmissions.Block(call);
                        break;
                }
            }
            var choice = new OutputChoice(0, parts, reason) { StopSequence = Text(root, "stop_sequence"), Annotations = annotations };
            return new ModelResponse([choice]) { ServiceTier = root.TryGetProperty("usage", out var usage)
                ? AnthropicServiceTiers.Read(Text(usage, "service_tier"))
                : null };
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
}
