using System.Buffers.Text;
using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;

namespace Fairlead.Providers.Anthropic;

/// <summary>Writes one part of a turn as a content block.</summary>
internal static class AnthropicPartWriter
{
    /// <param name="json">Positioned inside <c>content</c>.</param>
    /// <param name="request">The request.</param>
    /// <param name="part">The part.</param>
    /// <param name="trimEnd">Whether white space at the end of a text is removed.</param>
    public static void Write(Utf8JsonWriter json, AnthropicRequest request, Part part, bool trimEnd = false)
    {
        json.WriteStartObject();
        switch (part)
        {
            case TextPart text: WriteText(json, text.Text, trimEnd); break;
            case RefusalPart refusal: WriteText(json, refusal.Text, trimEnd); break;
            case ImagePart image: WriteImage(json, image); break;
            case FilePart file: WriteFile(json, file); break;
            case ToolCallPart call: WriteCall(json, call); break;
            case ToolResultPart result: WriteResult(json, request, result); break;
            case AudioPart:
                throw new GatewayErrorException(new GatewayError(ErrorCode.IncompatibleInput,
                    "The provider of this model does not accept audio.") { Parameter = "messages" });
            default: throw AnthropicTranslator.Unsupported("messages", $"does not accept a part of the kind {part.GetType().Name}");
        }
        AnthropicTurnWriter.WriteCacheControl(json, request, part.CacheHint);
        json.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter json, string text, bool trimEnd)
    {
        json.WriteString("type", "text");
        json.WriteString("text", trimEnd ? text.TrimEnd() : text);
    }

    private static void WriteImage(Utf8JsonWriter json, ImagePart image)
    {
        json.WriteString("type", "image");
        json.WriteStartObject("source");
        if (image.Data is { } data)
        {
            var type = image.MediaType?.ToLowerInvariant() switch { "image/jpg" => "image/jpeg", var other => other };
            if (type is not ("image/jpeg" or "image/png" or "image/gif" or "image/webp"))
            {
                throw new GatewayErrorException(new GatewayError(ErrorCode.IncompatibleInput,
                    "The provider of this model accepts images as JPEG, PNG, GIF or WebP.") { Parameter = "messages" });
            }
            json.WriteString("type", "base64");
            json.WriteString("media_type", type);
            json.WriteString("data"u8, data.Base64.Span);
        }
        else
        {
            json.WriteString("type", "url");
            json.WriteString("url", image.Url);
        }
        json.WriteEndObject();
    }

    private static void WriteFile(Utf8JsonWriter json, FilePart file)
    {
        json.WriteString("type", "document");
        json.WriteStartObject("source");
        if (file.Text is { } text)
        {
            json.WriteString("type", "text");
            json.WriteString("media_type", "text/plain");
            json.WriteString("data", text);
        }
        else if (file.Data is { } data)
        {
            if (file.MediaType?.StartsWith("text/", StringComparison.OrdinalIgnoreCase) == true)
            {
                json.WriteString("type", "text");
                json.WriteString("media_type", "text/plain");
                json.WriteString("data", Decode(data.ToString()));
            }
            else if (string.Equals(file.MediaType, "application/pdf", StringComparison.OrdinalIgnoreCase))
            {
                json.WriteString("type", "base64");
                json.WriteString("media_type", "application/pdf");
                json.WriteString("data"u8, data.Base64.Span);
            }
            else
            {
                throw new GatewayErrorException(new GatewayError(ErrorCode.IncompatibleInput,
                    "The provider of this model accepts files as PDF or plain text; give the type in the data URL or by the file "
                        + "extension.") { Parameter = "messages" });
            }
        }
        else if (file.Url is { } url)
        {
            json.WriteString("type", "url");
            json.WriteString("url", url);
        }
        else
        {
            throw AnthropicTranslator.Unsupported("messages", "cannot read files stored elsewhere; send the file's data instead of its id");
        }
        json.WriteEndObject();
        if ((file.Title ?? file.FileName) is { Length: > 0 } title) json.WriteString("title", title);
        if (file.Context is { Length: > 0 } context) json.WriteString("context", context);
        if (file.Citations is { } citations)
        {
            json.WriteStartObject("citations");
            json.WriteBoolean("enabled", citations);
            json.WriteEndObject();
        }
    }

    private static string Decode(string base64)
    {
        if (Base64.IsValid(base64))
        {
            var bytes = Convert.FromBase64String(base64);
            if (System.Text.Unicode.Utf8.IsValid(bytes)) return Encoding.UTF8.GetString(bytes);
        }
        throw new GatewayErrorException(GatewayError.Invalid("messages", "The data of a text file must be base64 of UTF-8 text."));
    }

    private static void WriteCall(Utf8JsonWriter json, ToolCallPart call)
    {
        json.WriteString("type", "tool_use");
        json.WriteString("id", AnthropicToolIds.Fit(call.Id));
        json.WriteString("name", call.Name);
        json.WritePropertyName("input");
        if (call.Kind == ToolKind.Custom)
        {
            json.WriteStartObject();
            json.WriteString("input", call.Arguments);
            json.WriteEndObject();
            return;
        }
        if (string.IsNullOrWhiteSpace(call.Arguments))
        {
            json.WriteStartObject();
            json.WriteEndObject();
            return;
        }
        try
        {
            using var document = JsonDocument.Parse(call.Arguments, new JsonDocumentOptions { MaxDepth = 512 });
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                document.RootElement.WriteTo(json);
                return;
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Wrapped below.
        }
        // One invalid call must not end the conversation.
        json.WriteStartObject();
        json.WriteString("invalid_arguments", call.Arguments);
        json.WriteEndObject();
    }

    private static void WriteResult(Utf8JsonWriter json, AnthropicRequest request, ToolResultPart result)
    {
        json.WriteString("type", "tool_result");
        json.WriteString("tool_use_id", AnthropicToolIds.Fit(result.CallId));
        if (result.Content.Any(part => part is not TextPart { Text.Length: 0 }))
        {
            json.WriteStartArray("content");
            foreach (var part in result.Content)
            {
                if (part is TextPart { Text.Length: 0 }) continue;
                Write(json, request, part);
            }
            json.WriteEndArray();
        }
        if (result.IsError) json.WriteBoolean("is_error", true);
    }
}
