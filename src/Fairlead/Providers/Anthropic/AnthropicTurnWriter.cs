using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Providers.Anthropic;

/// <summary>
/// Writes <c>system</c> and <c>messages</c>: instructions joined, tool results first in one user turn, alternating roles.
/// </summary>
internal static class AnthropicTurnWriter
{
    /// <param name="json">Positioned inside the request object.</param>
    /// <param name="request">The request.</param>
    /// <param name="instruction">An additional instruction at the end of the system prompt, or null.</param>
    public static void Write(Utf8JsonWriter json, AnthropicRequest request, string? instruction)
    {
        var messages = request.Conversation.Messages;
        var leading = 0;
        while (leading < messages.Count && messages[leading].Role is Role.System or Role.Developer) leading++;
        // Instructions alone are not a conversation there: they become the user's text.
        var onlyInstructions = leading == messages.Count;
        WriteSystem(json, request, onlyInstructions ? [] : messages.Take(leading), instruction);

        var turns = new List<Turn>();
        for (var i = onlyInstructions ? 0 : leading; i < messages.Count; i++) AddTurn(request, turns, messages[i], i);
        turns.RemoveAll(turn => turn.Parts.Count == 0);
        if (turns.Count == 0)
        {
            throw new GatewayErrorException(GatewayError.Invalid("messages",
                "The conversation contains no text: the provider of this model does not accept empty messages."));
        }
        if (turns[0].Role != "user")
        {
            throw new GatewayErrorException(GatewayError.Invalid("messages",
                "The provider of this model requires a user message before the first assistant message."));
        }

        json.WriteStartArray("messages");
        for (var i = 0; i < turns.Count; i++)
        {
            json.WriteStartObject();
            json.WriteString("role", turns[i].Role);
            json.WriteStartArray("content");
            // A prefill must not end in white space.
            var isPrefill = i == turns.Count - 1 && turns[i].Role == "assistant";
            for (var k = 0; k < turns[i].Parts.Count; k++)
            {
                AnthropicPartWriter.Write(json, request, turns[i].Parts[k], isPrefill && k == turns[i].Parts.Count - 1);
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private const int MaxCacheMarks = 4;

    /// <summary>Anthropic's own hint unchanged, another dialect's as the plain one.</summary>
    public static void WriteCacheControl(Utf8JsonWriter json, AnthropicRequest request, JsonObject? hint)
    {
        if (hint is null) return;
        if (++request.CacheMarks > MaxCacheMarks)
        {
            request.Call.Warn("parameter_ignored", $"Only {MaxCacheMarks} cache hints were sent, the maximum of the model's provider.");
            return;
        }
        json.WriteStartObject("cache_control");
        json.WriteString("type", "ephemeral");
        if (hint["ttl"] is JsonValue ttl && ttl.TryGetValue<string>(out var lifetime) && lifetime is "5m" or "1h")
        {
            json.WriteString("ttl", lifetime);
        }
        json.WriteEndObject();
    }

    private sealed record Turn(string Role, List<Part> Parts)
    {
        /// <summary>Position of the next result: after the last one.</summary>
        public int ResultsEnd { get; set; } = AfterResults(Parts);

        public static int AfterResults(List<Part> parts) => parts.FindLastIndex(part => part is ToolResultPart) + 1;
    }

    private static void WriteSystem(Utf8JsonWriter json, AnthropicRequest request, IEnumerable<Message> messages, string? instruction)
    {
        var texts = new List<TextPart>();
        foreach (var message in messages)
        {
            foreach (var part in message.Parts)
            {
                if (part is not TextPart text) throw AnthropicTranslator.Unsupported("messages", "accepts only text in instructions");
                if (text.Text.Length > 0) texts.Add(text);
            }
        }
        if (instruction is not null)
        {
            texts.Add(new TextPart(instruction));
            request.Call.Warn("parameter_adjusted",
                "'response_format' json_object was sent as an instruction to the model: its provider has no JSON mode.");
        }
        if (texts.Count == 0) return;
        json.WriteStartArray("system");
        foreach (var text in texts)
        {
            json.WriteStartObject();
            json.WriteString("type", "text");
            json.WriteString("text", text.Text);
            WriteCacheControl(json, request, text.CacheHint);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void AddTurn(AnthropicRequest request, List<Turn> turns, Message message, int index)
    {
        if (message.Name is not null)
        {
            request.Ignored($"messages[{index.ToString(CultureInfo.InvariantCulture)}].name",
                "the model's provider does not support participant names.");
        }
        var role = message.Role switch
        {
            Role.Assistant => "assistant",
            // Instructions in the middle: in their own role if the model supports it, otherwise as the user's text.
            Role.System or Role.Developer when request.Generation.TakesSystemTurns && turns.Count > 0 => "system",
            _ => "user",
        };
        var parts = new List<Part>(message.Parts.Count);
        foreach (var part in message.Parts)
        {
            switch (part)
            {
                case TextPart { Text: var said } when string.IsNullOrWhiteSpace(said):
                case RefusalPart { Text: var refused } when string.IsNullOrWhiteSpace(refused):
                    // Blank texts are rejected there and have no meaning.
                    break;
                case ReasoningPart:
                    request.Call.Warn("reasoning_omitted",
                        "Thinking in the conversation was not sent: it has no signature of this model's provider.");
                    break;
                default:
                    parts.Add(part);
                    break;
            }
        }
        if (turns.Count > 0 && turns[^1].Role == role)
        {
            // Results come first in their turn, whatever text preceded them.
            var turn = turns[^1];
            if (message.Role != Role.Tool)
            {
                turn.Parts.AddRange(parts);
                return;
            }
            turn.Parts.InsertRange(turn.ResultsEnd, parts);
            turn.ResultsEnd += Turn.AfterResults(parts);
        }
        else
        {
            turns.Add(new Turn(role, parts));
        }
    }
}
