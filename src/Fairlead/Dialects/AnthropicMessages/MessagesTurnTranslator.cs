using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// Translates <c>messages</c> to canonical turns: neighbours of one role become one turn, and tool results a turn before the user's text.
/// </summary>
internal static class MessagesTurnTranslator
{
    public static void Read(GatewayCall call, JsonElement messages, List<Message> turns)
    {
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        var index = 0;
        foreach (var message in messages.EnumerateArray())
        {
            ReadMessage(call, message, index++, names, turns);
        }
    }

    private static void ReadMessage(GatewayCall call, JsonElement message, int index, Dictionary<string, string> names, List<Message> turns)
    {
        var role = message.GetProperty("role").GetString() switch
        {
            "assistant" => Role.Assistant,
            "system" => Role.System,
            _ => Role.User,
        };
        var content = message.GetProperty("content");
        if (content.ValueKind == JsonValueKind.String)
        {
            var text = content.GetString()!;
            if (text.Length > 0) Append(turns, role, new List<Part> { new TextPart(text) });
            return;
        }
        var results = new List<Part>();
        var parts = new List<Part>();
        var block = 0;
        foreach (var element in content.EnumerateArray())
        {
            if (role == Role.Assistant && element.GetProperty("type").GetString() is var type && !MessagesPartReader.IsSupported(type))
            {
                // Steps of tools that Anthropic ran: the conversation continues without them.
                call.Warn("history_omitted",
                    $"A block of type '{RequestErrors.Shown(type ?? "")}' in an earlier response was not sent: the provider of this "
                        + "model does not accept it as input.");
                block++;
                continue;
            }
            var part = MessagesPartReader.Read(call, element, $"messages[{index}].content[{block++}]", names);
            if (part is ToolResultPart) results.Add(part);
            else parts.Add(part);
        }
        if (results.Count > 0) Append(turns, Role.Tool, results);
        if (parts.Count > 0) Append(turns, role, parts);
    }

    private static void Append(List<Message> turns, Role role, List<Part> parts)
    {
        // The lists belong to this reader while it reads.
        if (turns.Count > 0 && turns[^1].Role == role && role != Role.System && turns[^1].Parts is List<Part> open)
        {
            open.AddRange(parts);
        }
        else
        {
            turns.Add(new Message(role, parts));
        }
    }
}
