using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>
/// Leaves out of the events of another run what a client has. Blocks that are reproduced have the same indexes, and the client knows the
/// ids of tool calls by the first run.
/// </summary>
internal sealed class MessagesReplay(OutputReplay replay) : NativeReplay
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 256 };

    public override void Take(ReadOnlySpan<byte> data, int kind, NativeEventTraits traits, EventBatch output)
    {
        var choice = replay.Of(0);
        switch (kind)
        {
            case MessagesEventKind.MessageStart:
                return;
            case MessagesEventKind.BlockStart or MessagesEventKind.BlockDelta or MessagesEventKind.BlockStop when !choice.IsCaughtUp:
                if (JsonNode.Parse(data, documentOptions: Parsing) is JsonObject root && IsNew(choice, kind, root))
                    output.AddNative(ResponseJson.Bytes(root), kind, traits);
                return;
            default:
                output.AddNative(data, kind, traits);
                return;
        }
    }

    private static bool IsNew(ChoiceReplay choice, int kind, JsonObject root)
    {
        if (kind == MessagesEventKind.BlockStop) return choice.Mark(DigestPart.Event, MessagesDigest.BlockEnd);
        var inner = (kind == MessagesEventKind.BlockStart ? root["content_block"] : root["delta"]) as JsonObject;
        var type = Text(inner, "type") ?? "";
        if (kind == MessagesEventKind.BlockStart)
        {
            if (!MessagesDigest.IsComparableBlock(type) || inner?["input"] is JsonObject { Count: > 0 }) choice.Fail();
            choice.Mark(DigestPart.Event, EventMark.Of(type));
            if (Text(inner, "name") is { } name && choice.Take(name) < name.Length) choice.Fail();
            // Nearly always empty. The start itself is known to the client, so its text could not be divided.
            if (Text(inner, "text") is { Length: > 0 } text && choice.Take(text) < text.Length) choice.Fail();
            if (Text(inner, "thinking") is { Length: > 0 } thought && choice.Take(thought) < thought.Length) choice.Fail();
            return false;
        }
        if (type == "signature_delta") return choice.Mark(DigestPart.Signature);
        var member = type switch
        {
            "text_delta" => "text",
            "thinking_delta" => "thinking",
            "input_json_delta" => "partial_json",
            _ => null,
        };
        if (member is null || Text(inner, member) is not { } piece)
        {
            choice.Fail();
            return false;
        }
        var known = choice.Take(piece);
        if (known == piece.Length) return false;
        inner![member] = piece[known..];
        return true;
    }

    private static string? Text(JsonObject? parent, string name) =>
        parent?[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}
