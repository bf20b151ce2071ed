using Fairlead.Memory;

namespace Fairlead.Streaming;

/// <summary>
/// Reads server-sent events (WHATWG HTML) from bytes as they arrive: lines end in LF, CRLF or CR, a leading byte order mark and comments
/// are dropped, several data lines are joined by LF, an unfinished last event is never returned. One per stream; not thread-safe.
/// </summary>
/// <remarks>
/// The stream is read straight into the parser's own buffer (<see cref="GetMemory"/>, <see cref="Advance"/>), and events are spans of it:
/// nothing is copied but the event's name, and nothing is allocated per event. Bytes are examined once, so an event
/// that arrives in many pieces costs no more than one that arrives whole.
/// </remarks>
/// <param name="maxEventBytes">Maximum bytes of one event. Default 16 MiB: an image inside a delta fits.</param>
/// <param name="budget">Counts a long event. Null for none.</param>
/// <param name="copies">How often it counts, where it is copied later.</param>
internal sealed class SseParser(int maxEventBytes = SseParser.DefaultMaxEventBytes, MemoryBudget? budget = null,
    int copies = SseParser.Copies) : IDisposable
{
    /// <summary>A stream of ordinary events needs less, and is not counted.</summary>
    private const int UncountedBytes = 16 * 1024;

    private const int Copies = 3;

    public const int DefaultMaxEventBytes = 16 * 1024 * 1024;

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    private PooledBuffer? _buffer;
    private byte[] _name = [];
    private int _nameLength;

    // Offsets count from the start of the event, which is where the unread bytes start.
    private int _lineStart;
    private int _searched;
    private int _dataStart;
    private int _dataLength;
    private int _readAt;
    private int _readLength;
    private bool _hasData;
    private bool _skipLineFeed;
    private bool _started;

    /// <summary>True once an event exceeded the limit; nothing is read from then on.</summary>
    public bool TooLarge { get; private set; }

    /// <summary>The data of the last event, as memory. Valid until the next call of any other member.</summary>
    public ReadOnlyMemory<byte> Data => _buffer is null ? default : _buffer.At(_readAt, _readLength);

    /// <summary>Memory for the next bytes of the stream. Earlier spans become invalid.</summary>
    /// <exception cref="MemoryExhaustedException">The budget does not have enough memory for the event.</exception>
    public Memory<byte> GetMemory(int sizeHint) => (_buffer ??= new PooledBuffer(sizeHint, budget, UncountedBytes, copies))
        .GetMemory(sizeHint);

    /// <summary>Sets how many bytes were written into the memory.</summary>
    public void Advance(int count) => _buffer!.Advance(count);

    /// <summary>Copies <paramref name="bytes"/> in; for bytes that are in memory already.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        bytes.CopyTo(GetMemory(bytes.Length).Span);
        Advance(bytes.Length);
    }

    /// <summary>The next whole event, if its end has arrived. The spans are valid until the next call of any member.</summary>
    /// <param name="name">Value of the last <c>event:</c> line; empty when there was none.</param>
    /// <param name="data">The data lines joined by LF; empty when the only one was empty.</param>
    public bool TryRead(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> data)
    {
        name = data = default;
        if (_buffer is not { } buffer || TooLarge || (!_started && !TryStart(buffer))) return false;

        while (true)
        {
            if (_skipLineFeed && buffer.Length > _lineStart)
            {
                _skipLineFeed = false;
                if (buffer.WrittenSpan[_lineStart] == (byte)'\n') StepOver(buffer);
            }

            var bytes = buffer.MutableSpan;
            var found = bytes[_searched..].IndexOfAny((byte)'\n', (byte)'\r');
            if (found < 0)
            {
                _searched = bytes.Length;
                TooLarge = bytes.Length > maxEventBytes;
                return false;
            }

            var lineEnd = _searched + found;
            _skipLineFeed = bytes[lineEnd] == (byte)'\r';
            var next = lineEnd + 1;

            if (lineEnd == _lineStart)
            {
                var dispatch = _hasData;
                name = _name.AsSpan(0, _nameLength);
                data = bytes.Slice(_dataStart, _dataLength);
                (_readAt, _readLength) = (buffer.Start + _dataStart, _dataLength);
                buffer.Consume(next);
                Reset();
                if (dispatch) return true;
                name = data = default;
                continue;
            }

            ReadLine(bytes, _lineStart, lineEnd);
            if (_hasData)
            {
                _lineStart = _searched = next;
                if (next > maxEventBytes)
                {
                    TooLarge = true;
                    return false;
                }
            }
            else
            {
                // Comments and names before the first data are dropped: a stream of keep-alives needs no memory.
                buffer.Consume(next);
                _lineStart = _searched = 0;
            }
        }
    }

    /// <summary>Returns the buffer to the pool when everything was read, so that a waiting stream holds no memory.</summary>
    public void ReleaseIfEmpty()
    {
        if (_buffer is not { Length: 0 } buffer) return;
        buffer.Dispose();
        _buffer = null;
    }

    public void Dispose()
    {
        _buffer?.Dispose();
        _buffer = null;
    }

    private bool TryStart(PooledBuffer buffer)
    {
        var bytes = buffer.WrittenSpan;
        if (bytes.Length < ByteOrderMark.Length && ByteOrderMark.StartsWith(bytes)) return false;
        _started = true;
        if (bytes.StartsWith(ByteOrderMark)) buffer.Consume(ByteOrderMark.Length);
        return true;
    }

    // The LF of a CRLF whose CR ended the line before.
    private void StepOver(PooledBuffer buffer)
    {
        if (_hasData)
        {
            _lineStart++;
            _searched = Math.Max(_searched, _lineStart);
        }
        else
        {
            buffer.Consume(1);
            _searched = Math.Max(0, _searched - 1);
        }
    }

    private void ReadLine(Span<byte> bytes, int start, int end)
    {
        var line = bytes[start..end];
        var colon = line.IndexOf((byte)':');
        if (colon == 0) return;
        var field = colon < 0 ? line : line[..colon];
        var valueStart = colon < 0 ? end : start + colon + 1;
        if (valueStart < end && bytes[valueStart] == (byte)' ') valueStart++;

        if (field.SequenceEqual("data"u8))
        {
            if (!_hasData)
            {
                _hasData = true;
                _dataStart = valueStart;
                _dataLength = end - valueStart;
            }
            else
            {
                // Moved up to the data before it: the joined form is never longer than the lines were.
                var target = _dataStart + _dataLength;
                bytes[target] = (byte)'\n';
                bytes[valueStart..end].CopyTo(bytes[(target + 1)..]);
                _dataLength += 1 + end - valueStart;
            }
        }
        else if (field.SequenceEqual("event"u8))
        {
            _nameLength = end - valueStart;
            if (_name.Length < _nameLength) _name = new byte[Math.Max(64, _nameLength)];
            bytes[valueStart..end].CopyTo(_name);
        }
    }

    private void Reset()
    {
        _lineStart = _searched = _dataStart = _dataLength = _nameLength = 0;
        _hasData = false;
    }
}
