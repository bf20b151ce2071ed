using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>Reads <c>messages</c>: each message, and the rules between them.</summary>
internal static class TurnReader
{
    private static readonly string[] Roles = ["user", "assistant", "system"];

    public static void Read(ref BodyCursor json, MessagesPass pass)
    {
        if (!json.Array("messages")) throw RequestErrors.Missing("messages");
        var summary = new TurnSummary();
        var count = 0;
        string? last = null;
        while (json.NextItem())
        {
            if (count >= pass.Bounds.MaxMessages) throw RequestErrors.TooMany("messages", pass.Bounds.MaxMessages);
            last = ReadMessage(ref json, pass, summary, count);
            count++;
        }
        if (count == 0) throw RequestErrors.EmptyArray("messages");
        pass.Facts.MessageCount = count;
        pass.Tools.End(json.Body);
        if (last == "assistant") pass.Note(RequestFeatures.Prefill, new FieldPath("messages", count - 1));
    }

    private static string ReadMessage(ref BodyCursor json, MessagesPass pass, TurnSummary summary, int index)
    {
        var path = new FieldPath("messages", index);
        if (!json.Object(path)) throw RequestErrors.Type(path, "an object", "null");
        summary.Clear();
        var start = json.Start;
        string? role = null;
        var content = JsonTokenType.None;
        var empty = false;
        while (json.NextMember())
        {
            var isRole = json.Is("role"u8);
            var isContent = !isRole && json.Is("content"u8);
            json.Next();
            if (isRole)
            {
                if (role is not null) throw RequestErrors.Duplicate(path with { Middle = "role" });
                role = json.Word(path with { Middle = "role" }, Roles) ?? throw RequestErrors.Missing(path with { Middle = "role" });
            }
            else if (isContent)
            {
                if (content != JsonTokenType.None) throw RequestErrors.Duplicate(path with { Middle = "content" });
                content = json.Token;
                empty = ReadContent(ref json, pass, summary, index);
            }
            else
            {
                json.Skip();
            }
        }
        if (role is null) throw RequestErrors.Missing(path with { Middle = "role" });
        if (content == JsonTokenType.None) throw RequestErrors.Missing(path with { Middle = "content" });
        if (index == 0 && role != "user") throw RequestErrors.Value(path with { Middle = "role" }, "the first message must be the user's.");
        if (empty && role != "assistant") throw RequestErrors.Value(path with { Middle = "content" }, "it must not be empty.");
        ValidateRole(json.Body, pass, summary, index, role);
        if (role != "assistant")
        {
            if (summary.FirstBlank >= 0)
            {
                throw RequestErrors.EmptyString(path with { Middle = "content", Inner = summary.FirstBlank, Tail = "text" });
            }
            return role;
        }
        if (summary.Cuts.Count > 0 || empty)
        {
            // A turn with nothing else is removed: an empty turn would be rejected, and so would its signature. It is never the first.
            if (summary.Cuts.Count < summary.Blocks) (pass.Facts.ForeignRanges ??= []).AddRange(summary.Cuts);
            else (pass.Facts.ForeignRanges ??= []).Add(BodySplicer.MemberWithComma(json.Body, start, json.End, isFirst: false));
            pass.Facts.CutsThinking |= summary.CutsThinking;
        }
        pass.EndsInUnsignedCalls = summary.Uses.Count > 0 && !summary.HasSignedThinking;
        return role;
    }

    // Whether the content is empty.
    private static bool ReadContent(ref BodyCursor json, MessagesPass pass, TurnSummary summary, int message)
    {
        var path = new FieldPath("messages", message, "content");
        switch (json.Token)
        {
            case JsonTokenType.String:
                pass.Facts.TextBytes += json.Value.Length;
                summary.HasText = !json.Value.IsEmpty;
                summary.FirstOther = 0;
                return json.Value.IsEmpty;

            case JsonTokenType.StartArray:
                for (var i = 0; json.NextItem(); i++)
                {
                    var block = BlockReader.Read(ref json, pass, new BlockPosition(message, i));
                    Note(json.Body, summary, block, i);
                    summary.Blocks++;
                }
                return summary.Blocks == 0;

            case JsonTokenType.Null:
                throw RequestErrors.Missing(path);

            default:
                throw RequestErrors.Type(path, "a string or an array of blocks", json.Describe());
        }
    }

    private static void Note(ReadOnlySpan<byte> body, TurnSummary summary, in ContentBlock block, int index)
    {
        if (block.Kind == BlockKind.ToolResult) summary.Results.Add((index, block.ToolUseId.Inner));
        else if (summary.FirstOther < 0) summary.FirstOther = index;
        switch (block.Kind)
        {
            case BlockKind.ToolUse:
                summary.Uses.Add((index, block.Id.Inner));
                break;
            case BlockKind.Text:
                summary.HasText = true;
                if (IsBlank(body.Slice(block.Text.Inner.Start, block.Text.Inner.Length)))
                {
                    if (block.Text.Inner.IsEmpty && summary.FirstBlank < 0) summary.FirstBlank = index;
                    Cut(body, summary, block, index);
                }
                if (block.Cited && summary.FirstCited < 0) summary.FirstCited = index;
                break;
            case BlockKind.Document when summary.FirstDocument < 0:
                summary.FirstDocument = index;
                break;
            case BlockKind.Thinking or BlockKind.RedactedThinking:
                if (summary.FirstThinking < 0) summary.FirstThinking = index;
                if (block.Kind == BlockKind.Thinking && (block.Signature.IsAbsent || block.Signature.Inner.IsEmpty))
                {
                    summary.CutsThinking = true;
                    Cut(body, summary, block, index);
                }
                else
                {
                    summary.HasSignedThinking = true;
                }
                break;
        }
    }

    // While all blocks so far are removed, each takes the comma after it; later ones take the comma before.
    private static void Cut(ReadOnlySpan<byte> body, TurnSummary summary, in ContentBlock block, int index) =>
        summary.Cuts.Add(BodySplicer.MemberWithComma(body, block.Range.Start, block.Range.End, isFirst: summary.Cuts.Count == index));

    private static bool IsBlank(ReadOnlySpan<byte> text)
    {
        while (!text.IsEmpty)
        {
            if (text[0] == (byte)' ') text = text[1..];
            else if (text.Length > 1 && text[0] == (byte)'\\' && text[1] is (byte)'n' or (byte)'t' or (byte)'r') text = text[2..];
            else return false;
        }
        return true;
    }

    private static void ValidateRole(ReadOnlySpan<byte> body, MessagesPass pass, TurnSummary summary, int index, string role)
    {
        FieldPath At(int block, string? name = "type") => new("messages", index, "content", block, name);

        if (role != "assistant")
        {
            if (summary.Uses.Count > 0)
            {
                throw RequestErrors.Value(At(summary.Uses[0].Block), "tool_use blocks are allowed in assistant turns only.");
            }
            if (summary.FirstThinking >= 0)
            {
                throw RequestErrors.Value(At(summary.FirstThinking), "thinking blocks are allowed in assistant turns only.");
            }
        }
        switch (role)
        {
            case "user":
                pass.Tools.StartUserTurn();
                foreach (var (block, id) in summary.Results)
                {
                    if (summary.FirstOther >= 0 && summary.FirstOther < block) pass.Tools.OtherInUserTurn();
                    pass.Tools.AddResult(body, At(block, "tool_use_id"), id);
                }
                if (summary.FirstOther >= 0) pass.Tools.OtherInUserTurn();
                if (summary.HasText) pass.Facts.Note(RequestFeatures.UserText);
                if (pass.IsOctober2026 && summary.FirstCited >= 0)
                {
                    throw RequestErrors.Value(At(summary.FirstCited, "citations"),
                        $"version {AnthropicVersions.October2026} does not accept citations on a user's text.");
                }
                break;

            case "assistant":
                pass.Tools.StartAssistantTurn(body);
                if (summary.Results.Count > 0)
                {
                    throw RequestErrors.Value(At(summary.Results[0].Block), "tool_result blocks are allowed in user turns only.");
                }
                foreach (var (_, id) in summary.Uses) pass.Tools.AddCall(index, id);
                if (pass.IsOctober2026 && summary.FirstDocument >= 0)
                {
                    throw RequestErrors.Value(At(summary.FirstDocument),
                        $"version {AnthropicVersions.October2026} does not accept documents in assistant turns.");
                }
                break;

            default:
                if (summary.Results.Count > 0)
                {
                    throw RequestErrors.Value(At(summary.Results[0].Block), "tool_result blocks are allowed in user turns only.");
                }
                break;
        }
    }
}
