using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>
/// Leaves out of the events of another run what a client has, and gives its items the ids of the first run: later events refer to them.
/// </summary>
internal sealed class ResponsesReplay(OutputReplay replay) : NativeReplay
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 512 };
    private static readonly string[] IdNames = ["id", "item_id", "call_id"];

    private readonly Dictionary<string, string> _ids = new(StringComparer.Ordinal);
    private int _items;

    public override void Take(ReadOnlySpan<byte> data, int kind, NativeEventTraits traits, EventBatch output)
    {
        if (kind == ResponsesEventKind.Lifecycle) return;
        data = data.Trim(" \t\r\n"u8);
        if (data.SequenceEqual("[DONE]"u8) || JsonNode.Parse(data, documentOptions: Parsing) is not JsonObject root)
        {
            output.AddNative(data, kind, traits);
            return;
        }
        if (kind != ResponsesEventKind.Terminal && !IsNew(root)) return;
        SetIds(root);
        output.AddNative(ResponseJson.Bytes(root), kind, traits);
    }

    private bool IsNew(JsonObject root)
    {
        var choice = replay.Of(0);
        if (choice.IsCaughtUp) return true;
        var type = Text(root, "type") ?? "";
        var mark = ResponsesDigest.MarkOf(type, Number(root, "output_index"), Number(root, "content_index") ?? Number(root, "summary_index"));
        if (ResponsesDigest.IsText(type))
        {
            choice.Enter(DigestPart.Event, mark);
            var text = Text(root, "delta") ?? "";
            var known = choice.Take(text);
            if (known == text.Length) return false;
            // The probabilities belong to whole tokens.
            if (known > 0 && root["logprobs"] is JsonArray { Count: > 0 }) choice.Fail();
            root["delta"] = text[known..];
            return true;
        }
        if (!ResponsesDigest.IsFrame(type))
        {
            choice.Fail();
            return false;
        }
        choice.Mark(DigestPart.Event, mark);
        if (type == "response.output_item.added") TakeItem(choice, root["item"] as JsonObject);
        return false;
    }

    private void TakeItem(ChoiceReplay choice, JsonObject? item)
    {
        var (type, name) = (Text(item, "type"), Text(item, "name") ?? "");
        if (!ResponsesDigest.IsComparableItem(type) || choice.Take(type) < type!.Length || choice.Take(name) < name.Length)
        {
            choice.Fail();
            return;
        }
        if (_items >= replay.Sent.Items.Count) return;
        var sent = replay.Sent.Items[_items++];
        if (Text(item, "id") is { } id && sent.Id is not null) _ids[id] = sent.Id;
        if (Text(item, "call_id") is { } call && sent.CallId is not null) _ids[call] = sent.CallId;
    }

    // Of the event, its item, and the items of the whole response.
    private void SetIds(JsonObject root)
    {
        Replace(root);
        if (root["item"] is JsonObject item) Replace(item);
        if (root["response"] is not JsonObject { } response || response["output"] is not JsonArray output) return;
        foreach (var node in output.OfType<JsonObject>()) Replace(node);
    }

    private void Replace(JsonObject node)
    {
        foreach (var name in IdNames)
        {
            if (Text(node, name) is { } id && _ids.TryGetValue(id, out var known)) node[name] = known;
        }
    }

    private static long? Number(JsonObject root, string name) =>
        root[name] is JsonValue value && value.TryGetValue<long>(out var number) ? number : null;

    private static string? Text(JsonObject? parent, string name) =>
        parent?[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}
