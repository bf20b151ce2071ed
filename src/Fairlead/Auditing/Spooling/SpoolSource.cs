using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// Reads one node's folder for the shipper: first the segments of an earlier process, to their end; then, for this node's own folder, the
/// live segments as they grow. For one thread.
/// </summary>
internal sealed class SpoolSource(SpoolFolder folder, Spool? live) : IDisposable
{
    private readonly List<long> _earlier = Earlier(folder, live);
    private readonly Dictionary<long, HashSet<SpooledContent>> _owed = [];
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

    /// <summary>Whether a file still has content that is in the database.</summary>
    public bool OwesErasure => _owed.Count > 0;

    /// <summary>Contents of the current segment that are in the database must be erased.</summary>
    public void OweErasure(IReadOnlyList<SpooledContent> contents)
    {
        if (contents.Count == 0) return;
        if (!_owed.TryGetValue(Segment, out var owed)) _owed[Segment] = owed = [];
        owed.UnionWith(contents);
    }

    /// <summary>Erases the contents that are owed. Those that could not be erased stay owed.</summary>
    /// <exception cref="IOException">A file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be written.</exception>
    public void EraseContents()
    {
        foreach (var (segment, owed) in _owed.ToArray())
        {
            List<SpooledContent>? closed = null;
            foreach (var content in owed)
            {
                if (live?.EraseContent(segment, content) != true) (closed ??= []).Add(content);
            }
            if (closed is not null) SpoolFile.EraseContents(Folder.PathOf(segment), segment, closed);
            _owed.Remove(segment);
        }
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
        var hasContent = _owed.Remove(segment);
        if (Unreadable.Remove(segment))
        {
            live?.Close(segment);
            Folder.Keep(segment);
        }
        else if (live is not null)
        {
            if (hasContent) live.Delete(segment);
            else live.Remove(segment);
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
