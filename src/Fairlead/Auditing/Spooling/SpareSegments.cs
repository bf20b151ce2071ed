using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// Segments that are ready for the next rotation: created in advance on a background thread, or reused. Remembers why the last one could
/// not be created, and waits a second before it tries again. Members are used under the spool's lock, except where they state otherwise.
/// </summary>
internal sealed class SpareSegments(
    SpoolFolder folder, SpoolOptions options, TimeProvider time, ILogger logger, Lock gate, Func<bool> isNeeded)
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private readonly Lock _creating = new();
    private readonly Queue<SpoolSegment> _spares = new();
    private Exception? _error;
    private long _failedAt;
    private bool _createsInBackground;
    private bool _closed;
    private int _paths;

    public int Count => _spares.Count;

    /// <summary>Whether the disk could not be written at the last attempt.</summary>
    public bool HasFailed => _error is not null;

    private bool IsTimeToRetry => _error is null || time.GetElapsedTime(_failedAt) >= RetryDelay;

    /// <summary>A new segment that is not yet one of the spares. Thread-safe.</summary>
    /// <exception cref="IOException">The disk is full or cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public SpoolSegment Create() => SpoolSegment.Create(NextPath(), options.SegmentBytes, options.FlushToDisk);

    /// <summary>A path for a spare that no other has had in this process. Thread-safe.</summary>
    public string NextPath() => folder.SparePathOf(Interlocked.Increment(ref _paths));

    public SpoolSegment Peek() => _spares.Peek();

    public SpoolSegment Take() => _spares.Dequeue();

    /// <summary>Adds a segment that was in use before.</summary>
    public void Add(SpoolSegment reused) => _spares.Enqueue(reused);

    /// <summary>Deletes the spares whose flush failed. It may have started before they became spares.</summary>
    public void DropFailed()
    {
        for (var left = _spares.Count; left > 0; left--)
        {
            var spare = _spares.Dequeue();
            if (spare.FlushFailed) spare.Dispose();
            else _spares.Enqueue(spare);
        }
    }

    /// <summary>How many of them still have records of an earlier use.</summary>
    public int OldCount => _spares.Count(spare => spare.HasOldRecords);

    /// <summary>Puts a new segment in the place of one that has records of an earlier use, which is deleted; just adds it if there is none.</summary>
    public void Replace(SpoolSegment created)
    {
        for (var left = _spares.Count; left > 0; left--)
        {
            var spare = _spares.Dequeue();
            if (spare.HasOldRecords)
            {
                spare.Dispose();
                break;
            }
            _spares.Enqueue(spare);
        }
        _spares.Enqueue(created);
    }

    /// <summary>Creates a segment.</summary>
    /// <exception cref="SpoolUnavailableException">The disk is full or cannot be written, or failed less than a second ago.</exception>
    public void CreateNow()
    {
        if (!IsTimeToRetry) throw new SpoolUnavailableException("The spool has no space.", _error);
        try
        {
            _spares.Enqueue(Create());
            _error = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Fail(e);
            throw new SpoolUnavailableException("The spool has no space.", e);
        }
    }

    /// <summary>Lets a background thread create what is needed.</summary>
    public void CreateSoon()
    {
        if (_createsInBackground || !IsTimeToRetry || !isNeeded()) return;
        _createsInBackground = true;
        ThreadPool.UnsafeQueueUserWorkItem(static spares => spares.CreateNeeded(), this, preferLocal: false);
    }

    /// <summary>
    /// Whether the disk failed and may be tried again by <see cref="CreateNeeded"/>, which waits for an attempt of the background thread.
    /// If no spare is needed, the error is forgotten: a segment that could not be activated before may succeed now.
    /// </summary>
    public bool ShouldRetry()
    {
        if (_error is null || !IsTimeToRetry) return false;
        if (isNeeded()) return true;
        _error = null;
        return false;
    }

    /// <summary>Creates segments as long as one is needed. Takes the lock itself.</summary>
    public void CreateNeeded()
    {
        lock (_creating)
        {
            while (true)
            {
                lock (gate)
                {
                    _createsInBackground = !_closed && isNeeded();
                    if (!_createsInBackground) return;
                }
                var startedAt = time.GetTimestamp();
                SpoolSegment created;
                try
                {
                    created = Create();
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    lock (gate)
                    {
                        _createsInBackground = false;
                        Fail(e, startedAt);
                    }
                    return;
                }
                lock (gate)
                {
                    _spares.Enqueue(created);
                    _error = null;
                }
            }
        }
    }

    /// <summary>Notes that a segment could not be created or activated.</summary>
    public void Fail(Exception error) => Fail(error, time.GetTimestamp());

    // The wait counts from the start of the attempt: the disk may have been freed before its end.
    private void Fail(Exception error, long startedAt)
    {
        var isFirst = _error is null;
        _failedAt = startedAt;
        _error = error;
        if (isFirst) logger.SpoolUnwritable(error);
    }

    /// <summary>
    /// Runs <paramref name="close"/> under the spool's lock while no segment is being created, so that no file outlives the lock on the
    /// folder; then deletes the spares. Takes the lock itself.
    /// </summary>
    /// <param name="close">Returns false if the spool was closed before.</param>
    public void Close(Func<bool> close)
    {
        lock (_creating)
        {
            lock (gate)
            {
                if (!close()) return;
                _closed = true;
                while (_spares.TryDequeue(out var spare)) spare.Dispose();
            }
        }
    }
}
