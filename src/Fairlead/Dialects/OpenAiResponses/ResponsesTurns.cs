using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Groups items into turns: the output of the model between two inputs is one canonical turn, and so are the results for it.
/// One per request.
/// </summary>
internal sealed class ResponsesTurns(GatewayCall call, List<Message> messages)
{
    private readonly Dictionary<string, string> _calls = new(StringComparer.Ordinal);
    private readonly OrderedDictionary<string, int> _unanswered = new(StringComparer.Ordinal);
    private int _waiting;
    private readonly HashSet<string> _cut = new(StringComparer.Ordinal);
    private readonly List<Part> _turn = [];
    private readonly List<Part> _results = [];

    public void Text(string text)
    {
        Flush();
        messages.Add(Message.Of(Role.User, text));
    }

    /// <param name="item">A validated item, or a stored one.</param>
    /// <param name="path">Its position in the request; null for a stored one.</param>
    public void Add(JsonElement item, string? path)
    {
        var type = ChatConversationReader.Text(item, "type")
            ?? (ChatConversationReader.Text(item, "role") is null ? "item_reference" : "message");
        switch (type)
        {
            case "message": AddMessage(item, path); break;
            case "function_call" or "custom_tool_call":
                var id = ChatConversationReader.Text(item, "call_id")!;
                var name = ChatConversationReader.Text(item, "name")!;
                var custom = type == "custom_tool_call";
                _calls[id] = name;
                _unanswered[id] = _unanswered.GetValueOrDefault(id) + 1;
                _waiting++;
                if (ChatConversationReader.Text(item, "status") == "incomplete") _cut.Add(id);
                Made(new ToolCallPart(id, name, ChatConversationReader.Text(item, custom ? "input" : "arguments") ?? "") { Kind = custom
                    ? ToolKind.Custom
                    : ToolKind.Function });
                break;
            case "function_call_output" or "custom_tool_call_output": AddResult(item, path); break;
            case "reasoning": AddReasoning(item); break;
            case "item_reference":
                // Stored content is complete, so this goes no deeper.
                if (call.Facts.Responses!.References?.TryGetValue(ChatConversationReader.Text(item, "id")!, out var known) == true)
                {
                    Add(known, path);
                    break;
                }
                throw new GatewayErrorException(GatewayError.Invalid($"{path}.id",
                    $"Item with id '{RequestErrors.Shown(ChatConversationReader.Text(item, "id") ?? "")}' not found. Send the item "
                        + "itself, or 'previous_response_id'.") with { OpenAiCode = "invalid_value" });
            case var step when IsStep(step):
                call.Warn("history_omitted",
                    $"An item of type '{RequestErrors.Shown(step)}' of an earlier response was not sent: the provider of this model does "
                        + "not accept it as input.");
                break;
            default:
                throw new GatewayErrorException(GatewayError.Unsupported(path ?? "previous_response_id",
                    $"Items of type '{type}' are supported only by providers with the Responses API; this model's provider has none."));
        }
    }

    /// <summary>Ends the last turn, and checks that every call has its result.</summary>
    public void Finish()
    {
        Flush();
        if (_waiting == 0) return;
        // A truncated call cannot have a result.
        var removed = _unanswered.Where(call => _cut.Contains(call.Key)).Sum(call => call.Value);
        if (removed > 0) RemoveCut(removed);
        if (_waiting == removed) return;
        var missing = _unanswered.First(call => call.Value > 0 && !_cut.Contains(call.Key)).Key;
        throw new GatewayErrorException(GatewayError.Invalid("input", "No tool output found for the tool call "
            + $"'{RequestErrors.Shown(missing)}'. Every call needs an output item with its call_id.") with { OpenAiCode =
                "invalid_value" });
    }

    /// <summary>Steps of a provider's own tools, which clients send back with the conversation.</summary>
    private static bool IsStep(string type) =>
        type.EndsWith("_call", StringComparison.Ordinal) || type.EndsWith("_call_output", StringComparison.Ordinal)
            || type.StartsWith("mcp_", StringComparison.Ordinal);

    private void RemoveCut(int removed)
    {
        var answered = messages.SelectMany(message => message.Parts).OfType<ToolResultPart>().Select(result => result.CallId)
            .ToHashSet(StringComparer.Ordinal);
        for (var i = messages.Count - 1; i >= 0; i--)
        {
            var kept = messages[i].Parts.Where(part => part is not ToolCallPart cut || !_cut.Contains(cut.Id) || answered.Contains(cut.Id))
                .ToList();
            if (kept.Count == messages[i].Parts.Count) continue;
            if (kept.Count == 0) messages.RemoveAt(i);
            else messages[i] = messages[i] with { Parts = kept };
        }
        call.Warn("history_omitted", $"{removed} tool calls that were truncated in an earlier response were not sent.");
    }

    private void AddMessage(JsonElement item, string? path)
    {
        var role = ChatConversationReader.Text(item, "role");
        var parts = Parts(item.GetProperty("content"), path, role == "assistant");
        if (role == "assistant")
        {
            // Two consecutive messages remain two.
            if (_turn.Exists(part => part is TextPart or RefusalPart)) Flush();
            foreach (var part in parts) Made(part);
            return;
        }
        Flush();
        messages.Add(new Message(role switch { "system" => Role.System, "developer" => Role.Developer, _ => Role.User }, parts));
    }

    private void AddResult(JsonElement item, string? path)
    {
        var id = ChatConversationReader.Text(item, "call_id")!;
        if (!_calls.TryGetValue(id, out var name))
        {
            throw new GatewayErrorException(GatewayError.Invalid($"{path ?? "input"}.call_id",
                $"No tool call found for the output with call_id '{RequestErrors.Shown(id)}'. Send the call before it, or "
                    + "'previous_response_id'.") with { OpenAiCode = "invalid_value" });
        }
        if (_unanswered[id] > 0)
        {
            _unanswered[id]--;
            _waiting--;
        }
        var output = item.GetProperty("output");
        EndTurn();
        _results.Add(new ToolResultPart(id, Parts(output, path)) { Name = name });
    }

    private void AddReasoning(JsonElement item)
    {
        var text = string.Concat(Texts(item, "summary").Concat(Texts(item, "content")));
        var sealedReasoning = SealedReasoning.Parse(ChatConversationReader.Text(item, "encrypted_content"));
        switch (sealedReasoning)
        {
            case { Kind: SealedReasoning.Redacted } redacted: Made(new ReasoningPart("", null) { Redacted = redacted.Seal }); break;
            case { Kind: SealedReasoning.Signature } signed: Made(new ReasoningPart(text, signed.Seal)); break;
            default:
                if (text.Length > 0) Made(new ReasoningPart(text, null));
                else if (sealedReasoning is not null)
                {
                    call.Warn("reasoning_omitted", "Reasoning encrypted by another provider was not sent to this provider.");
                }
                break;
        }
    }

    private static IEnumerable<string> Texts(JsonElement item, string member)
    {
        if (!ChatConversationReader.Has(item, member, out var list)) yield break;
        foreach (var part in list.EnumerateArray())
        {
            if (ChatConversationReader.Text(part, "text") is { } text) yield return text;
        }
    }

    private List<Part> Parts(JsonElement content, string? path, bool isWritten = false)
    {
        if (content.ValueKind == JsonValueKind.String) return [new TextPart(content.GetString()!)];
        var parts = new List<Part>(content.GetArrayLength());
        foreach (var part in content.EnumerateArray())
        {
            if (isWritten && ChatConversationReader.Text(part, "type") is not ("output_text" or "refusal"))
            {
                if (ChatConversationReader.Text(part, "text") is { } said) parts.Add(new TextPart(said));
                else
                {
                    call.Warn("history_omitted",
                        "A part of an earlier response was not sent: the provider of this model does not accept it as input.");
                }
                continue;
            }
            parts.Add(ChatConversationReader.Text(part, "type") switch
            {
                "input_text" or "output_text" or "text" => new TextPart(ChatConversationReader.Text(part, "text")!),
                "refusal" => new RefusalPart(ChatConversationReader.Text(part, "refusal")!),
                "input_image" => Image(part),
                "input_audio" =>
                    new AudioPart(ChatConversationReader.Text(part.GetProperty("input_audio"), "format")!,
                        MediaData.Of(part.GetProperty("input_audio").GetProperty("data"), call.Body.WrittenMemory)),
                "input_file" => File(part),
                var type =>
                    throw new GatewayErrorException(GatewayError.Unsupported(path ?? "previous_response_id",
                        $"Parts of type '{type}' cannot be sent to the provider of this model.")),
            });
        }
        return parts;
    }

    private ImagePart Image(JsonElement part) =>
        ChatConversationReader.ImageOf(part.GetProperty("image_url"), ChatConversationReader.Text(part, "detail"), call.Body.WrittenMemory);

    private FilePart File(JsonElement part)
    {
        var made = new FilePart { FileName = ChatConversationReader.Text(part, "filename"),
            Url = ChatConversationReader.Text(part, "file_url") };
        return ChatConversationReader.Has(part, "file_data", out var content) && content.ValueKind == JsonValueKind.String
            ? ChatConversationReader.WithContent(made, content, call.Body.WrittenMemory)
            : made;
    }

    private void Made(Part part)
    {
        EndResults();
        _turn.Add(part);
    }

    private void Flush()
    {
        EndTurn();
        EndResults();
    }

    private void EndTurn()
    {
        if (_turn.Count == 0) return;
        messages.Add(new Message(Role.Assistant, [.. _turn]));
        _turn.Clear();
    }

    private void EndResults()
    {
        if (_results.Count == 0) return;
        messages.Add(new Message(Role.Tool, [.. _results]));
        _results.Clear();
    }
}
