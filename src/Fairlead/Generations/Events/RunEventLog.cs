using Fairlead.Conversation;
using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// The events of one run. They wait here until they are in the database, and only then readers see them. So no crash can revoke an event
/// that was read, and its number means the same event on every node. Thread-safe.
/// </summary>
/// <param name="time">The clock.</param>
/// <param name="memory">Counts all logs.</param>
[System.Diagnostics.CodeAnalysis.SuppressMessage(
    "Reliability", "CA1001", Justification = "The semaphore has no wait handle, so there is nothing to dispose of.")]
internal sealed class RunEventLog(TimeProvider time, EventMemory? memory = null)
{
    /// <summary>Longest time until an event is written if the run has no reader on this node.</summary>
    private static readonly TimeSpan Unwatched = TimeSpan.FromMilliseconds(500);

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _writing = new(1, 1);
    private List<GenerationEvent> _waiting = [];
    private long _since;
    private Action? _made;

    /// <summary>The events that are in the database, from number <see cref="Start"/> on.</summary>
    public EventLog Shown { get; } = new(EventMemory.MaxBytesOfLog, memory);

    /// <summary>Number of events that earlier runs have written.</summary>
    public int Start { get; init; }

    /// <summary>The run has a reader: its events are written at once.</summary>
    public bool Watched { get; set; }

    /// <summary>Calls <paramref name="made"/> now, and whenever there is something to write.</summary>
    public void Notify(Action made)
    {
        lock (_gate) _made = made;
        made();
    }

    public void Add(GenerationEvent made)
    {
        if (!KeptEvents.IsKept(made)) return;
        Action? notify;
        lock (_gate)
        {
            if (_waiting.Count == 0) _since = time.GetTimestamp();
            _waiting.Add(made);
            notify = _made;
        }
        notify?.Invoke();
    }

    /// <summary>Whether events should be written now.</summary>
    public bool IsDue()
    {
        lock (_gate) return _waiting.Count > 0 && (Watched || time.GetElapsedTime(_since) >= Unwatched);
    }

    /// <summary>
    /// Takes the waiting events; null while others are being written. Followed by <see cref="Written"/> or <see cref="NotWritten"/>.
    /// </summary>
    public NewEvents? TryTake() => _writing.Wait(TimeSpan.Zero) ? Take() : null;

    /// <summary>Takes the waiting events when no others are being written.</summary>
    public async Task<NewEvents> TakeAsync()
    {
        await _writing.WaitAsync();
        return Take();
    }

    /// <summary>The database has <paramref name="events"/>: readers see them.</summary>
    public void Written(NewEvents events)
    {
        using var batch = new EventBatch();
        foreach (var made in events.Events) batch.Add(made);
        Shown.Append(batch);
        _writing.Release();
    }

    /// <summary>
    /// They wait again, before newer events and with the same numbers, by which the database recognizes them if it has them already.
    /// </summary>
    public void NotWritten(NewEvents events)
    {
        lock (_gate)
        {
            if (_waiting.Count == 0) _since = time.GetTimestamp();
            _waiting = [.. events.Events, .. _waiting];
        }
        _writing.Release();
    }

    /// <summary>The run has no more events. Readers look at the generation to see whether it has ended.</summary>
    public async Task CloseAsync()
    {
        await _writing.WaitAsync();
        Shown.Complete();
        _writing.Release();
    }

    private NewEvents Take()
    {
        lock (_gate)
        {
            // Readers see exactly what was written, so the next number follows from it.
            var taken = new NewEvents(Start + Shown.Count, _waiting);
            _waiting = [];
            return taken;
        }
    }
}
