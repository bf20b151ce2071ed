namespace Fairlead.Dialects.AnthropicMessages;

/// <summary>The dialect's numbers of event names.</summary>
internal static class MessagesEventKind
{
    public const int Unknown = 0;
    public const int MessageStart = 1;
    public const int BlockStart = 2;
    public const int BlockDelta = 3;
    public const int BlockStop = 4;
    public const int MessageDelta = 5;
    public const int MessageStop = 6;
    public const int Ping = 7;
    public const int Error = 8;

    public static int Of(ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("content_block_delta"u8)) return BlockDelta;
        if (name.SequenceEqual("content_block_start"u8)) return BlockStart;
        if (name.SequenceEqual("content_block_stop"u8)) return BlockStop;
        if (name.SequenceEqual("message_start"u8)) return MessageStart;
        if (name.SequenceEqual("message_delta"u8)) return MessageDelta;
        if (name.SequenceEqual("message_stop"u8)) return MessageStop;
        if (name.SequenceEqual("ping"u8)) return Ping;
        return name.SequenceEqual("error"u8) ? Error : Unknown;
    }

    /// <summary>The line that starts an event; empty for unknown ones, whose name is in their data.</summary>
    public static ReadOnlySpan<byte> Line(int kind) => kind switch
    {
        MessageStart => "event: message_start\n"u8,
        BlockStart => "event: content_block_start\n"u8,
        BlockDelta => "event: content_block_delta\n"u8,
        BlockStop => "event: content_block_stop\n"u8,
        MessageDelta => "event: message_delta\n"u8,
        MessageStop => "event: message_stop\n"u8,
        Error => "event: error\n"u8,
        _ => [],
    };
}
