using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// Reads one node's folder for the shipper: first the segments of an earlier process, to their end; then, for this node's own folder, the
/// live segments as they grow. For one thread.
/// </summary>
internal sealed class SpoolSource(SpoolFolder folder, Spool? live) : IDisposable
{
    private readonly List<long> _earlier = Earlier(folder, live);
    private int _index;
    private long _liveSegment = live?.FirstSegment ?? 0;
    private int _offset = SpoolFormat.FileHeaderBytes;
    private Microsoft.Win32.SafeHandles.SafeFileHandle? _file;
    private long _opened;

    public SpoolFolder Folder { get; } = folder;

    public bool IsLive => live is not null;

    /// <summary>Whether what an earlier process left has been read, recovered and removed.</summary>
    public bool EarlierDone { get; set; }

    /// <summary>Whether the calls that an earlier process left unfinished are on this process's spool.</summary>
    public bool LostRecorded { get; set; }

    /// <summary>Calls that have started and not ended, as far as has been read.</summary>
    public OpenCalls Open { get; } = new();

    /// <summary>Segments with an invalid record.</summary>
    public HashSet<long> Unreadable { get; } = [];

    /// <summary>How far the database had read when this process started; null until it was asked.</summary>
    public SpoolPosition? Known { get; set; }

    /// <summary>Whether the segments of the earlier process are read to the end.</summary>
    public bool AtEndOfEarlier => _index >= _earlier.Count;

    public IReadOnlyList<long> EarlierSegments => _earlier;

    /// <summary>Where the next read starts.</summary>
    public SpoolPosition Position => new(Segment, _offset);

    private long Segment => AtEndOfEarlier ? _liveSegment : _earlier[_index];

    /// <summary>
    /// Fills <paramref name="window"/> from <see cref="Position"/> on.
    /// </summary>
    /// <param name="window">Buffer for bytes of one segment.</param>
    /// <param name="isEnd">Whether the window contains all that is complete in the segment by now.</param>
    /// <param name="isClosed">Whether nothing more will be added to the segment.</param>
    /// <returns>Bytes read; 0 when there is nothing.</returns>
    public int Read(Span<byte> window, out bool isEnd, out bool isClosed)
    {
        isClosed = true;
        var limit = int.MaxValue;
        if (AtEndOfEarlier)
        {
            isEnd = true;
            isClosed = false;
            if (live is null) return 0;
            var end = live.End;
            isClosed = _liveSegment < end.Segment;
            if (!isClosed) limit = end.Offset;
        }
        if (limit <= _offset)
        {
            isEnd = true;
            return 0;
        }
        if (_file is null || _opened != Segment)
        {
            _file?.Dispose();
            _file = null;
            var path = Folder.PathOf(Segment);
            isEnd = true;
            // A user may have deleted files; a missing segment cannot be read, and must not block the rest.
            if (!File.Exists(path)) return 0;
            _file = SpoolFile.Open(path);
            _opened = Segment;
        }
        var wanted = Math.Min(window.Length, limit - _offset);
        var count = SpoolFile.Fill(_file, _offset, window[..wanted]);
        isEnd = count < window.Length;
        return count;
    }

    /// <summary>Erases contents of the current segment, which are in the database.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public void EraseContents(IEnumerable<SpooledContent> contents)
    {
        List<SpooledContent>? closed = null;
        foreach (var content in contents)
        {
            if (live?.EraseContent(Segment, content) != true) (closed ??= []).Add(content);
        }
        if (closed is not null) SpoolFile.EraseContents(Folder.PathOf(Segment), Segment, closed);
    }

    /// <summary>Advances within the segment.</summary>
    public void Advance(int bytes) => _offset += bytes;

    /// <summary>Advances to the next segment; returns the number of the finished one.</summary>
    public long Next()
    {
        var finished = Segment;
        _file?.Dispose();
        _file = null;
        _offset = SpoolFormat.FileHeaderBytes;
        if (AtEndOfEarlier) _liveSegment++;
        else _index++;
        return finished;
    }

    /// <summary>
    /// Gives up a segment that is no longer needed: it is reused or deleted, or put aside if it has an invalid record.
    /// </summary>
    public void Discard(long segment)
    {
        if (Unreadable.Remove(segment))
        {
            live?.Close(segment);
            Folder.Keep(segment);
        }
        else if (live is not null)
        {
            live.Remove(segment);
        }
        else
        {
            Folder.Delete(segment);
        }
    }

    public void Dispose()
    {
        _file?.Dispose();
        _file = null;
    }

    private static List<long> Earlier(SpoolFolder folder, Spool? live)
    {
        var segments = new List<long>(folder.Segments());
        if (live is not null) segments.RemoveAll(number => number >= live.FirstSegment);
        return segments;
    }
}
