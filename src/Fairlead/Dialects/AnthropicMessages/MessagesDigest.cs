using Fairlead.Streaming.Verification;

namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>How events of Anthropic's dialect are added to the digest of a stream.</summary>
internal static class MessagesDigest
{
    /// <summary>The mark of the end of a block.</summary>
    public static readonly int BlockEnd = EventMark.Of("content_block_stop"u8);

    /// <summary>Whether the content of such a block can be compared: others are encrypted, or results of the provider's own tools.</summary>
    public static bool IsComparableBlock(string type) => type is "text" or "thinking" or "tool_use";

    /// <summary>The same for the name in an event.</summary>
    public static bool IsComparableBlock(ReadOnlySpan<byte> type) =>
        type.SequenceEqual("text"u8) || type.SequenceEqual("thinking"u8) || type.SequenceEqual("tool_use"u8);

    /// <summary>Adds a scanned event.</summary>
    /// <param name="digest">Receives the output.</param>
    /// <param name="kind">The kind of the event.</param>
    /// <param name="type">The type of its block or delta.</param>
    /// <param name="name">The inside of the JSON string with the name of a tool; empty for none.</param>
    /// <param name="text">The inside of the JSON string with the text; empty for none.</param>
    public static void Add(OutputDigest digest, int kind, ReadOnlySpan<byte> type, ReadOnlySpan<byte> name, ReadOnlySpan<byte> text)
    {
        var choice = digest.Of(0);
        switch (kind)
        {
            case MessagesEventKind.BlockStart:
                if (!IsComparableBlock(type)) digest.Exclude();
                // Only the first block may be continued, and only if it is text.
                if (choice.Length > 0 || !type.SequenceEqual("text"u8)) digest.Kept?.Drop();
                choice.Mark(DigestPart.Event, EventMark.Of(type));
                digest.Kept?.AddJson(text);
                choice.AddJson(name);
                choice.AddJson(text);
                break;
            case MessagesEventKind.BlockDelta when type.SequenceEqual("signature_delta"u8):
                choice.Mark(DigestPart.Signature);
                break;
            case MessagesEventKind.BlockDelta when type.SequenceEqual("text_delta"u8) || type.SequenceEqual("thinking_delta"u8)
                || type.SequenceEqual("input_json_delta"u8):
                choice.AddJson(text);
                digest.Kept?.AddJson(text);
                break;
            case MessagesEventKind.BlockStop:
                digest.Kept?.Drop();
                choice.Mark(DigestPart.Event, BlockEnd);
                break;
            case MessagesEventKind.BlockDelta or MessagesEventKind.Unknown:
                // Citations, and what a later version adds.
                digest.Exclude();
                break;
        }
    }
}
