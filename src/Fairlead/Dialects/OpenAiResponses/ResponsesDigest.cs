using System.Buffers.Text;
using System.Text.Json;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.Streaming.Verification;

namespace Fairlead.Dialects.OpenAiResponses;

/// <summary>How events of the Responses dialect are added to the digest of a stream.</summary>
internal static class ResponsesDigest
{
    /// <summary>Whether an event's <c>delta</c> is text that can be compared.</summary>
    public static bool IsText(string type) => type is "response.output_text.delta" or "response.refusal.delta"
        or "response.reasoning_text.delta" or "response.reasoning_summary_text.delta" or "response.function_call_arguments.delta"
        or "response.custom_tool_call_input.delta";

    /// <summary>Whether an event only says where in the output the texts are, or repeats them.</summary>
    public static bool IsFrame(string type) => type is "response.output_item.added" or "response.output_item.done"
        or "response.content_part.added" or "response.content_part.done" or "response.output_text.done" or "response.refusal.done"
        or "response.reasoning_text.done" or "response.reasoning_summary_part.added" or "response.reasoning_summary_part.done"
        or "response.reasoning_summary_text.done" or "response.function_call_arguments.done" or "response.custom_tool_call_input.done";

    /// <summary>Whether an item consists of such texts; others are results of the provider's own tools.</summary>
    public static bool IsComparableItem(string? type) => type is "message" or "reasoning" or "function_call" or "custom_tool_call";

    /// <summary>The mark of an event: its type, and the item and part that it belongs to.</summary>
    public static int MarkOf(string type, long? item, long? part) =>
        EventMark.Of(type) ^ unchecked((int)((item + 1 ?? 0) * 0x9E3779B1)) ^ unchecked((int)((part + 1 ?? 0) * 0x85EBCA6B));

    /// <summary>Adds an event that is not about the whole response.</summary>
    /// <param name="digest">Receives the output.</param>
    /// <param name="type">The type of the event.</param>
    /// <param name="data">The event.</param>
    /// <param name="delta">Where its <c>delta</c> is, with the quotes; empty for none.</param>
    public static void Add(OutputDigest digest, string type, ReadOnlySpan<byte> data, ByteRange delta)
    {
        digest.Kept?.Drop();
        var choice = digest.Of(0);
        var mark = MarkOf(type, Index(data, "\"output_index\""u8), Index(data, "\"content_index\""u8) ?? Index(data, "\"summary_index\""u8));
        if (IsText(type))
        {
            choice.Enter(DigestPart.Event, mark);
            if (delta.Length > 2) choice.AddJson(data.Slice(delta.Start + 1, delta.Length - 2));
        }
        else if (IsFrame(type))
        {
            choice.Mark(DigestPart.Event, mark);
            if (type == "response.output_item.added") AddItem(digest, choice, data);
        }
        else
        {
            digest.Exclude();
        }
    }

    // The quotes of a name never occur like that inside a string, where they are escaped.
    private static long? Index(ReadOnlySpan<byte> data, ReadOnlySpan<byte> name)
    {
        while (data.IndexOf(name) is >= 0 and var at)
        {
            data = data[(at + name.Length)..].TrimStart(" \t\r\n"u8);
            if (data is not [(byte)':', ..]) continue;
            return Utf8Parser.TryParse(data[1..].TrimStart(" \t\r\n"u8), out long number, out _) ? number : null;
        }
        return null;
    }

    private static void AddItem(OutputDigest digest, ChoiceDigest choice, ReadOnlySpan<byte> data)
    {
        var reader = new Utf8JsonReader(data, new JsonReaderOptions { MaxDepth = 512 });
        using var document = JsonDocument.ParseValue(ref reader);
        if (!OpenAiWire.Has(document.RootElement, "item", JsonValueKind.Object, out var item))
        {
            digest.Exclude();
            return;
        }
        var type = OpenAiWire.Text(item, "type");
        if (!IsComparableItem(type)) digest.Exclude();
        choice.Add(type);
        choice.Add(OpenAiWire.Text(item, "name"));
        digest.AddItem(new SentItem(OpenAiWire.Text(item, "id"), OpenAiWire.Text(item, "call_id")));
    }
}
