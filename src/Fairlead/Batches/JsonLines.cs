using System.Buffers;

namespace Fairlead.Batches;

/// <summary>Reads a stream line by line in bounded memory. Empty lines are skipped. Not thread-safe.</summary>
/// <param name="stream">Read from its current position; disposed with this.</param>
/// <param name="offset">That position in the whole file.</param>
/// <param name="maxLineBytes">A longer line is not kept.</param>
internal sealed class JsonLines(Stream stream, long offset, int maxLineBytes) : IAsyncDisposable
{
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
    private int _start;
    private int _end;
    private int _lineStart;
    private int _lineLength;
    private bool _isOver;
    private bool _isFirst = offset == 0;

    /// <summary>The last line, without its end. Valid until the next call.</summary>
    public ReadOnlyMemory<byte> Line => _buffer.AsMemory(_lineStart, _lineLength);

    /// <summary>Where in the whole file that line starts.</summary>
    public long LineOffset { get; private set; } = offset;

    /// <summary>Whether that line was too long; then it is empty.</summary>
    public bool IsTooLong { get; private set; }

    /// <summary>Number of that line from 1, counted from the start of reading, including empty ones.</summary>
    public int Number { get; private set; }

    /// <summary>Where in the whole file the next line starts.</summary>
    public long Offset { get; private set; } = offset;

    /// <summary>Finds the next line that is not empty. False at the end.</summary>
    public async ValueTask<bool> NextAsync(CancellationToken cancellationToken)
    {
        while (await FindAsync(cancellationToken))
        {
            Number++;
            if (IsTooLong || !IsBlank(Line.Span)) return true;
        }
        return false;
    }

    public async ValueTask DisposeAsync()
    {
        if (_buffer.Length > 0) ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        await stream.DisposeAsync();
    }

    private async ValueTask<bool> FindAsync(CancellationToken cancellationToken)
    {
        IsTooLong = false;
        var searched = _start;
        while (true)
        {
            var found = _buffer.AsSpan(searched, _end - searched).IndexOf((byte)'\n');
            if (found >= 0)
            {
                Take(searched + found, searched + found + 1);
                return true;
            }
            searched = _end;
            if (_isOver)
            {
                if (_start == _end && !IsTooLong) return false;
                Take(_end, _end);
                return true;
            }
            if (_end - _start > maxLineBytes)
            {
                // Too long already: only its end matters.
                Offset += _end - _start;
                _start = searched = _end;
                IsTooLong = true;
            }
            if (_end == _buffer.Length)
            {
                searched -= _start;
                MakeRoom();
            }
            var read = await stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
            _end += read;
            if (read == 0) _isOver = true;
        }
    }

    private void Take(int end, int next)
    {
        _lineStart = _start;
        _lineLength = IsTooLong ? 0 : end - _start;
        if (_lineLength > maxLineBytes) (IsTooLong, _lineLength) = (true, 0);
        // Some editors write a byte order mark first.
        if (_isFirst && Line.Span.StartsWith("\uFEFF"u8))
        {
            _lineStart += 3;
            _lineLength -= 3;
        }
        _isFirst = false;
        LineOffset = Offset + _lineStart - _start;
        Offset += next - _start;
        _start = next;
    }

    private void MakeRoom()
    {
        var length = _end - _start;
        if (length > _buffer.Length / 2)
        {
            var larger = ArrayPool<byte>.Shared.Rent(_buffer.Length * 2);
            _buffer.AsSpan(_start, length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }
        else
        {
            _buffer.AsSpan(_start, length).CopyTo(_buffer);
        }
        _start = 0;
        _end = length;
    }

    private static bool IsBlank(ReadOnlySpan<byte> line) => line.Trim(" \t\r"u8).IsEmpty;
}
