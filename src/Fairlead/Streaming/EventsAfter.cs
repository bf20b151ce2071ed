using System.Buffers;

namespace Fairlead.Streaming;

/// <summary>
/// Passes only the events of a numbered stream after a number. Each event is one block that ends with an empty line, and they count from 0.
/// </summary>
/// <param name="after">The last event that the reader has; -1 for none.</param>
internal sealed class EventsAfter(long after)
{
    private long _next;

    /// <summary>Whether anything has passed.</summary>
    public bool Any { get; private set; }

    /// <param name="events">Whole events.</param>
    /// <param name="output">Receives those after the number.</param>
    public void Write(ReadOnlySpan<byte> events, IBufferWriter<byte> output)
    {
        while (_next <= after && !events.IsEmpty)
        {
            var end = events.IndexOf("\n\n"u8);
            if (end < 0) throw new ArgumentException("An event must end with an empty line.", nameof(events));
            events = events[(end + 2)..];
            _next++;
        }
        if (events.IsEmpty) return;
        Any = true;
        output.Write(events);
    }
}
