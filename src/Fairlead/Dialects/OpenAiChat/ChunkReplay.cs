using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>Leaves out of the chunks of another run what a client has.</summary>
internal sealed class ChunkReplay(OutputReplay replay) : NativeReplay
{
    private static readonly JsonDocumentOptions Parsing = new() { MaxDepth = 512 };

    public override void Take(ReadOnlySpan<byte> data, int kind, NativeEventTraits traits, EventBatch output)
    {
        data = data.Trim(" \t\r\n"u8);
        if ((traits & NativeEventTraits.End) != 0 || !OpenAiResponseScanner.TryScan(data, wantModel: false, out var found))
        {
            output.AddNative(data, kind, traits);
            return;
        }
        if (found.Choices > 0 && (found.IsIncomparable || found.Pieces.IsOverfull) && !replay.Of(found.Choice).IsCaughtUp)
        {
            replay.Of(found.Choice).Fail();
            return;
        }

        // How many units of each piece the client has; -1 for all.
        Span<int> known = stackalloc int[found.Pieces.IsOverfull ? 0 : found.Pieces.Count];
        var (anyNew, anyKnown) = (false, false);
        for (var i = 0; i < known.Length; i++)
        {
            if (found.Pieces.OriginalOf(i) >= 0) continue;
            var piece = found.Pieces[i];
            known[i] = Compare(piece, JsonUnits.Decode(data.Slice(piece.Start, piece.Length)));
            anyNew |= known[i] >= 0;
            anyKnown |= known[i] != 0;
        }
        for (var i = 0; i < known.Length; i++)
        {
            if (found.Pieces.OriginalOf(i) is >= 0 and var original) known[i] = known[original];
        }
        // The probabilities belong to whole tokens.
        if (anyNew && anyKnown && found.Logprobs is not null) replay.Of(found.Choice).Fail();
        var finishes = IsNewFinish(found.Finished);
        foreach (var finish in found.MoreFinished ?? []) finishes |= IsNewFinish(finish);
        var startsChoice = found.Choices > 0 && known.Length == 0 && !found.Finishes && !replay.Of(found.Choice).WasSent;
        var isRest = found.Choices > 0 && known.Length == 0 && !found.Finishes && !found.HasRole && replay.Of(found.Choice).IsCaughtUp;
        if (!anyNew && !finishes && !startsChoice && !isRest && (found.Choices > 0 || !found.HasUsage)) return;

        if (JsonNode.Parse(data, documentOptions: Parsing) is not JsonObject root) return;
        SetIds(root);
        RemoveRoles(root);
        if (anyKnown)
        {
            for (var i = 0; i < known.Length; i++) Cut(root, found.Pieces[i], known[i]);
        }
        if (!anyNew) traits &= ~NativeEventTraits.Content;
        if (!finishes) traits &= ~NativeEventTraits.Finish;
        output.AddNative(OpenAiResponses.ResponseJson.Bytes(root), kind, traits);
    }

    private bool IsNewFinish((int Choice, Conversation.FinishReason Reason)? finish) =>
        finish is { } end && replay.Of(end.Choice).Enter(DigestPart.Finish, (int)end.Reason);

    private int Compare(in ChunkPiece piece, string text)
    {
        var choice = replay.Of(piece.Choice);
        if (piece.Part == DigestPart.ToolCall) return choice.TakeStart(piece.Part, piece.Index, text) ? 0 : -1;
        choice.Enter(piece.Part, piece.Index);
        var taken = choice.Take(text);
        return taken == text.Length ? -1 : taken;
    }

    private void SetIds(JsonObject root)
    {
        if (replay.Sent.ResponseId is { } id && root.ContainsKey("id")) root["id"] = id;
        if (replay.Sent.CreatedAt is { } created && root.ContainsKey("created")) root["created"] = created;
    }

    // A choice that the client has seen has its role.
    private void RemoveRoles(JsonObject root)
    {
        if (root["choices"] is not JsonArray choices) return;
        foreach (var choice in choices.OfType<JsonObject>())
        {
            var index = choice["index"] is JsonValue value && value.TryGetValue<int>(out var number) ? number : 0;
            if (replay.Of(index).WasSent) (choice["delta"] as JsonObject)?.Remove("role");
        }
    }

    private static void Cut(JsonObject root, in ChunkPiece piece, int known)
    {
        if (known == 0 || root["choices"] is not JsonArray choices) return;
        var index = piece.Choice;
        var choice = choices.OfType<JsonObject>().FirstOrDefault(candidate => Is(candidate["index"], index))
            ?? choices.OfType<JsonObject>().ElementAtOrDefault(index);
        if (choice is null) return;
        var delta = choice["delta"] as JsonObject;
        switch (piece.Part)
        {
            case DigestPart.Text when delta is null: Cut(choice, "text", known); break;
            case DigestPart.Text: Cut(delta, "content", known); break;
            case DigestPart.Refusal: Cut(delta, "refusal", known); break;
            case DigestPart.Reasoning: Cut(delta, "reasoning_content", known); break;
            case DigestPart.ReasoningCopy: Cut(delta, "reasoning", known); break;
            default: CutCall(delta, piece, known); break;
        }
    }

    // A call whose start the client has goes on with its arguments only.
    private static void CutCall(JsonObject? delta, in ChunkPiece piece, int known)
    {
        var index = piece.Index;
        var call = index < 0
            ? null
            : (delta?["tool_calls"] as JsonArray)?.OfType<JsonObject>().FirstOrDefault(node => Is(node["index"], index));
        var body = call?["function"] as JsonObject ?? call?["custom"] as JsonObject ?? delta?["function_call"] as JsonObject;
        if (piece.Part == DigestPart.ToolCall)
        {
            call?.Remove("id");
            call?.Remove("type");
            body?.Remove("name");
            return;
        }
        Cut(body, "arguments", known);
        Cut(body, "input", known);
    }

    private static void Cut(JsonObject? parent, string name, int known)
    {
        if (parent?[name] is not JsonValue value || !value.TryGetValue<string>(out var text)) return;
        parent[name] = known < 0 ? "" : text[Math.Min(known, text.Length)..];
    }

    private static bool Is(JsonNode? node, int number) =>
        node is JsonValue value && value.TryGetValue<int>(out var index) && index == number;
}
