using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Translates content blocks to parts of the canonical model.</summary>
internal static class MessagesPartReader
{
    /// <param name="call">Receives warnings.</param>
    /// <param name="block">A valid block.</param>
    /// <param name="path">Its position.</param>
    /// <param name="names">Tool names by call id, filled by calls and read by results.</param>
    public static Part Read(GatewayCall call, JsonElement block, string path, Dictionary<string, string> names)
    {
        var hint = block.TryGetProperty("cache_control", out var cache) ? MessagesConversationReader.HintOf(cache) : null;
        switch (block.GetProperty("type").GetString())
        {
            case "text":
                if (block.TryGetProperty("citations", out var citations) && citations.ValueKind == JsonValueKind.Array
                    && citations.GetArrayLength() > 0)
                {
                    call.Warn("parameter_ignored",
                        "The provider of this model does not support citations in the conversation; they were left out.");
                }
                return new TextPart(block.GetProperty("text").GetString()!) { CacheHint = hint };

            case "image":
                return Image(call, block.GetProperty("source"), path) with { CacheHint = hint };

            case "document":
                return Document(call, block, path) with { CacheHint = hint };

            case "search_result":
                return new FilePart
                {
                    Title = block.GetProperty("title").GetString(),
                    Context = block.GetProperty("source").GetString(),
                    Text = Joined(call, block.GetProperty("content"), $"{path}.content"),
                    CacheHint = hint,
                };

            case "tool_use":
                var id = block.GetProperty("id").GetString()!;
                var name = block.GetProperty("name").GetString()!;
                names[id] = name;
                return new ToolCallPart(id, name, block.GetProperty("input").GetRawText()) { CacheHint = hint };

            case "tool_result":
                return Result(call, block, path, names) with { CacheHint = hint };

            case "thinking":
                var signature = TextOf(block, "signature");
                return new ReasoningPart(block.GetProperty("thinking").GetString()!, string.IsNullOrEmpty(signature) ? null : signature);

            case "redacted_thinking":
                return new ReasoningPart("", null) { Redacted = block.GetProperty("data").GetString() };

            case { } type:
                throw MessagesConversationReader.Unsupported(path, $"A block of type '{MessagesConversationReader.Shown(type)}'");

            default:
                throw MessagesConversationReader.Unsupported(path, "This block");
        }
    }

    /// <summary>Whether blocks of this type have a canonical form.</summary>
    public static bool IsSupported(string? type) =>
        type is "text" or "image" or "document" or "search_result" or "tool_use" or "tool_result" or "thinking" or "redacted_thinking";

    /// <summary>A string, or an array of text blocks.</summary>
    public static List<Part> ReadTexts(GatewayCall call, JsonElement value, string path)
    {
        if (value.ValueKind == JsonValueKind.String) return value.GetString() is { Length: > 0 } text ? [new TextPart(text)] : [];
        var parts = new List<Part>();
        foreach (var block in value.EnumerateArray()) parts.Add(Read(call, block, $"{path}[{parts.Count}]", []));
        return parts;
    }

    private static ToolResultPart Result(GatewayCall call, JsonElement block, string path, Dictionary<string, string> names)
    {
        var id = block.GetProperty("tool_use_id").GetString()!;
        var parts = new List<Part>();
        if (block.TryGetProperty("content", out var content))
        {
            if (content.ValueKind == JsonValueKind.String)
            {
                parts.Add(new TextPart(content.GetString()!));
            }
            else if (content.ValueKind == JsonValueKind.Array)
            {
                foreach (var inner in content.EnumerateArray()) parts.Add(Read(call, inner, $"{path}.content[{parts.Count}]", names));
            }
        }
        return new ToolResultPart(id, parts)
        {
            IsError = block.TryGetProperty("is_error", out var isError) && isError.ValueKind == JsonValueKind.True,
            Name = names.GetValueOrDefault(id),
        };
    }

    private static ImagePart Image(GatewayCall call, JsonElement source, string path) => source.GetProperty("type").GetString() switch
    {
        "base64" =>
            new ImagePart(null, source.GetProperty("media_type").GetString(),
                MediaData.Of(source.GetProperty("data"), call.Body.WrittenMemory)),
        "url" => new ImagePart(source.GetProperty("url").GetString(), null, null),
        _ => throw MessagesConversationReader.Unsupported($"{path}.source", "A file stored at Anthropic"),
    };

    private static FilePart Document(GatewayCall call, JsonElement block, string path)
    {
        var source = block.GetProperty("source");
        var file = new FilePart
        {
            Title = TextOf(block, "title"),
            FileName = TextOf(block, "title"),
            Context = TextOf(block, "context"),
            Citations = block.TryGetProperty("citations", out var citations) && citations.ValueKind == JsonValueKind.Object
                && citations.TryGetProperty("enabled", out var enabled) && enabled.ValueKind is JsonValueKind.True or JsonValueKind.False
                ? enabled.GetBoolean()
                : null,
        };
        return source.GetProperty("type").GetString() switch
        {
            "base64" =>
                file with { MediaType = source.GetProperty("media_type").GetString(),
                    Data = MediaData.Of(source.GetProperty("data"), call.Body.WrittenMemory) },
            "url" => file with { MediaType = "application/pdf", Url = source.GetProperty("url").GetString() },
            "text" => file with { MediaType = "text/plain", Text = source.GetProperty("data").GetString() },
            "content" =>
                file with { MediaType = "text/plain", Text = Joined(call, source.GetProperty("content"), $"{path}.source.content") },
            _ => throw MessagesConversationReader.Unsupported($"{path}.source", "A file stored at Anthropic"),
        };
    }

    // Blocks as one text, which can hold text only.
    private static string Joined(GatewayCall call, JsonElement content, string path)
    {
        if (content.ValueKind == JsonValueKind.String) return content.GetString()!;
        var text = new StringBuilder();
        var index = 0;
        foreach (var block in content.EnumerateArray())
        {
            if (block.ValueKind != JsonValueKind.Object || TextOf(block, "type") != "text" || TextOf(block, "text") is not { } piece)
            {
                throw MessagesConversationReader.Unsupported($"{path}[{index}]", "Anything but text inside a document");
            }
            if (index++ > 0) text.Append('\n');
            text.Append(piece);
        }
        return text.ToString();
    }

    private static string? TextOf(JsonElement block, string name) =>
        block.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
