using Fairlead.Conversation;

namespace Fairlead.Streaming;

/// <summary>The kind of a native event, as far as the stages need it. Several may apply.</summary>
[Flags]
internal enum NativeEventTraits
{
    None = 0,

    /// <summary>Text, reasoning, a tool fragment or a refusal that a reader would see.</summary>
    Content = 1,

    /// <summary>A choice ends in it.</summary>
    Finish = 2,

    /// <summary>It contains usage.</summary>
    Usage = 4,

    /// <summary>It contains nothing but usage (OpenAI's chunk with empty choices).</summary>
    OnlyUsage = 8,

    /// <summary>The dialect's last event (<c>[DONE]</c>, <c>message_stop</c>).</summary>
    End = 16,

    /// <summary>Keep-alive of the upstream; not passed on, because Fairlead sends its own.</summary>
    Ping = 32,
}

/// <summary>One item of a batch: either an event of the inner language or the bytes of a native one.</summary>
internal readonly struct StreamItem
{
    public StreamItem(GenerationEvent generationEvent) => Event = generationEvent;

    public StreamItem(int start, int length, int kind, NativeEventTraits traits)
    {
        Start = start;
        Length = length;
        Kind = kind;
        Traits = traits;
    }

    /// <summary>The event, or null when the item is native.</summary>
    public GenerationEvent? Event { get; }

    /// <summary>Where the JSON of a native event's data starts in <see cref="EventBatch.Buffer"/>.</summary>
    public int Start { get; }

    public int Length { get; }

    /// <summary>The dialect's own number for the event's name; 0 where events have no names.</summary>
    public int Kind { get; }

    public NativeEventTraits Traits { get; }

    public bool IsContent => Event is { } e ? e.IsContent : (Traits & NativeEventTraits.Content) != 0;
}

/// <summary>
/// The result of one read of a source: usually all that one packet contained. The reader owns and reuses it; the items and the
/// bytes are valid until the next read. Not thread-safe.
/// </summary>
internal sealed class EventBatch : IDisposable
{
    private List<StreamItem> _items = new(4);
    private PooledBuffer? _buffer;

    public List<StreamItem> Items => _items;

    /// <summary>Bytes of the native items.</summary>
    public PooledBuffer Buffer => _buffer ??= new PooledBuffer();

    /// <summary>Approximate bytes in memory.</summary>
    public long Size => ((long)_items.Count * 64) + (_buffer?.Length ?? 0);

    public bool HasContent
    {
        get
        {
            foreach (var item in _items)
            {
                if (item.IsContent) return true;
            }
            return false;
        }
    }

    public void Add(GenerationEvent generationEvent) => _items.Add(new StreamItem(generationEvent));

    /// <summary>Copies a native event's data in.</summary>
    public void AddNative(ReadOnlySpan<byte> data, int kind, NativeEventTraits traits)
    {
        var buffer = Buffer;
        var start = buffer.Length;
        buffer.Write(data);
        _items.Add(new StreamItem(start, data.Length, kind, traits));
    }

    public ReadOnlySpan<byte> DataOf(in StreamItem item) => Buffer.WrittenSpan.Slice(item.Start, item.Length);

    /// <summary>Swaps content with <paramref name="other"/> without copying.</summary>
    public void SwapWith(EventBatch other)
    {
        (_items, other._items) = (other._items, _items);
        (_buffer, other._buffer) = (other._buffer, _buffer);
    }

    /// <summary>Appends a copy of everything in <paramref name="other"/>.</summary>
    public void Append(EventBatch other)
    {
        foreach (var item in other._items)
        {
            if (item.Event is { } generationEvent) Add(generationEvent);
            else AddNative(other.DataOf(item), item.Kind, item.Traits);
        }
    }

    /// <summary>Empties it and returns the buffer to the pool, so that a waiting stream holds no memory.</summary>
    public void Clear()
    {
        _items.Clear();
        _buffer?.Dispose();
        _buffer = null;
    }

    public void Dispose() => Clear();
}

/// <summary>One reader's view of the events of an attempt or a generation, in order.</summary>
internal interface IEventSource : IAsyncDisposable
{
    /// <summary>Whether events that arrive between reads wait at no cost until the next read, as in the buffers of a connection.</summary>
    bool BuffersAhead => false;

    /// <summary>
    /// Clears <paramref name="batch"/> and fills it with what is available, waiting for at least one item. False at the end;
    /// a source that failed returns <see cref="AttemptFailed"/> as its last item, and does not throw.
    /// </summary>
    ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken);
}
