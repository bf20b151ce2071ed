using System.Text;
using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.Providers.OpenAi;

/// <summary>Writes the turns of a conversation as OpenAI chat messages. One per request.</summary>
internal sealed class OpenAiMessagesWriter(Utf8JsonWriter json, OpenAiEndpoint endpoint, Action<string, string> warn, bool olderNames)
{
    public void Write(IReadOnlyList<Message> messages)
    {
        foreach (var message in messages)
        {
            switch (message.Role)
            {
                case Role.Assistant: WriteAssistant(message); break;
                case Role.Tool: WriteResults(message); break;
                case Role.User: WriteTurn("user", message); break;
                // Other servers support only the older name.
                case Role.Developer when !olderNames: WriteTurn("developer", message); break;
                default: WriteTurn("system", message); break;
            }
        }
    }

    private void WriteTurn(string role, Message message)
    {
        json.WriteStartObject();
        json.WriteString("role", role);
        if (message.Name is { } name) json.WriteString("name", name);
        json.WritePropertyName("content");
        WriteContent(message.Parts);
        json.WriteEndObject();
    }

    private void WriteContent(IReadOnlyList<Part> parts)
    {
        if (parts is [TextPart { Text: var only } single])
        {
            NoteHint(single);
            json.WriteStringValue(only);
            return;
        }
        json.WriteStartArray();
        foreach (var part in parts) WritePart(part);
        json.WriteEndArray();
    }

    private void WritePart(Part part)
    {
        NoteHint(part);
        switch (part)
        {
            case TextPart text: WriteText(text.Text); break;
            case ImagePart image:
                json.WriteStartObject();
                json.WriteString("type", "image_url");
                json.WriteStartObject("image_url");
                if (image.Data is { } picture) WriteDataUrl("url", image.MediaType, picture);
                else json.WriteString("url", image.Url);
                if (image.Detail is { } detail) json.WriteString("detail", detail);
                json.WriteEndObject();
                json.WriteEndObject();
                break;
            case AudioPart audio:
                json.WriteStartObject();
                json.WriteString("type", "input_audio");
                json.WriteStartObject("input_audio");
                json.WriteString("data"u8, audio.Data.Base64.Span);
                json.WriteString("format", audio.Format);
                json.WriteEndObject();
                json.WriteEndObject();
                break;
            case FilePart file: WriteFile(file); break;
            case RefusalPart refusal: WriteText(refusal.Text); break;
            default:
                throw OpenAiChatRequestWriter.Unsupported("messages",
                    "A message contains a part that the model's provider does not accept there.");
        }
    }

    // In pieces: the whole would be a copy.
    private void WriteDataUrl(string name, string? mediaType, MediaData data)
    {
        json.WritePropertyName(name);
        json.WriteStringValueSegment(Encoding.UTF8.GetBytes($"data:{mediaType};base64,"), isFinalSegment: false);
        json.WriteStringValueSegment(data.Base64.Span, isFinalSegment: true);
    }

    private void WriteText(string text)
    {
        json.WriteStartObject();
        json.WriteString("type", "text");
        json.WriteString("text", text);
        json.WriteEndObject();
    }

    private void WriteFile(FilePart file)
    {
        if (file.Citations == true)
        {
            warn("parameter_ignored", "Citations of documents were not requested: the model's provider does not support them.");
        }
        if (file.Text is { } text)
        {
            var whole = new StringBuilder();
            if (file.Title is { } title) whole.Append(title).Append("\n\n");
            if (file.Context is { } context) whole.Append(context).Append("\n\n");
            WriteText(whole.Append(text).ToString());
            return;
        }
        if (file.Data is not { } data)
        {
            throw OpenAiChatRequestWriter.Unsupported("messages", file.Url is not null
                ? "The model's provider accepts documents only inline, not by URL. Send the document's bytes as base64."
                : "A file stored at one provider cannot be read by another. Send the file's bytes as base64.");
        }
        // Metadata of the document becomes text, because the API has no field for it.
        if (file.Context is { } about) WriteText(about);
        json.WriteStartObject();
        json.WriteString("type", "file");
        json.WriteStartObject("file");
        json.WriteString("filename", file.FileName ?? file.Title ?? "document.pdf");
        WriteDataUrl("file_data", file.MediaType ?? "application/pdf", data);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void WriteAssistant(Message message)
    {
        var text = new StringBuilder();
        var refusal = new StringBuilder();
        var reasoning = new StringBuilder();
        var calls = 0;
        foreach (var part in message.Parts)
        {
            NoteHint(part);
            switch (part)
            {
                case TextPart t: text.Append(t.Text); break;
                case RefusalPart r: refusal.Append(r.Text); break;
                case ToolCallPart: calls++; break;
                case ReasoningPart { Text.Length: > 0 } thought when endpoint.TakesReasoningBack: reasoning.Append(thought.Text); break;
                case ReasoningPart:
                    warn("parameter_ignored", "Thinking of earlier turns was not sent: the model's provider does not accept it as input.");
                    break;
                default:
                    throw OpenAiChatRequestWriter.Unsupported("messages",
                        "An assistant message contains a part that the model's provider does not accept.");
            }
        }
        // A turn with only thinking leaves nothing to send.
        if (text.Length == 0 && refusal.Length == 0 && calls == 0) return;
        json.WriteStartObject();
        json.WriteString("role", "assistant");
        if (message.Name is { } name) json.WriteString("name", name);
        if (text.Length > 0) json.WriteString("content", text.ToString());
        else json.WriteNull("content");
        if (refusal.Length > 0) json.WriteString("refusal", refusal.ToString());
        if (reasoning.Length > 0) json.WriteString("reasoning_content", reasoning.ToString());
        if (calls > 0)
        {
            json.WriteStartArray("tool_calls");
            foreach (var part in message.Parts)
            {
                if (part is ToolCallPart call) WriteCall(call);
            }
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private void WriteCall(ToolCallPart call)
    {
        var custom = call.Kind == ToolKind.Custom;
        json.WriteStartObject();
        json.WriteString("id", call.Id);
        json.WriteString("type", custom ? "custom" : "function");
        json.WriteStartObject(custom ? "custom" : "function");
        json.WriteString("name", call.Name);
        json.WriteString(custom ? "input" : "arguments", custom || endpoint.IsOpenAi ? call.Arguments : Whole(call.Arguments));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    // Servers put the arguments into a template, and every later request fails if they are not a JSON object.
    private static string Whole(string arguments)
    {
        if (string.IsNullOrWhiteSpace(arguments)) return "{}";
        try
        {
            using var document = JsonDocument.Parse(arguments, new JsonDocumentOptions { MaxDepth = 512 });
            if (document.RootElement.ValueKind == JsonValueKind.Object) return arguments;
        }
        catch (JsonException)
        {
            // Wrapped.
        }
        return new System.Text.Json.Nodes.JsonObject { ["invalid_arguments"] = arguments }.ToJsonString();
    }

    // One message per result. Results cannot contain images, so these follow in a user message that names the call.
    private void WriteResults(Message message)
    {
        List<(string CallId, Part Part)>? others = null;
        foreach (var part in message.Parts)
        {
            if (part is not ToolResultPart result) continue;
            NoteHint(result);
            var text = new StringBuilder();
            // No field marks a failed tool, but the model must know it.
            if (result.IsError) text.Append("Error: ");
            foreach (var piece in result.Content)
            {
                switch (piece)
                {
                    case TextPart t: text.Append(t.Text); break;
                    case FilePart { Text: { } document }: text.Append(document); break;
                    default: (others ??= []).Add((result.CallId, piece)); break;
                }
            }
            json.WriteStartObject();
            json.WriteString("role", "tool");
            json.WriteString("tool_call_id", result.CallId);
            json.WriteString("content", text.ToString());
            json.WriteEndObject();
        }
        if (others is null) return;
        json.WriteStartObject();
        json.WriteString("role", "user");
        json.WriteStartArray("content");
        foreach (var (callId, part) in others)
        {
            WriteText($"Result of the tool call {callId}:");
            WritePart(part);
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void NoteHint(Part part)
    {
        if (part.CacheHint is not null) warn("parameter_ignored", "Cache hints were not sent: the model's provider caches automatically.");
    }
}
