using Fairlead.Conversation;
using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// The events that one run makes: first they wait here, then the database has them, and only then they are shown. So a reader never sees what a crash
/// could take back, and a number once given stands for the same event on every node. Thread-safe.
/// </summary>
/// <param name="time">The clock.</param>
/// <param name="memory">What all logs hold.</param>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Reliability", "CA1001", Justification = "The semaphore's wait handle is never asked for, so there is nothing to release.")]
internal sealed class RunEventLog(TimeProvider time, EventMemory? memory = null)
{
    /// <summary>What a reader who does not follow the run on this node waits for at most.</summary>
    private static readonly TimeSpan Unwatched = TimeSpan.FromMilliseconds(500);

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _writing = new(1, 1);
    private List<GenerationEvent> _waiting = [];
    private long _since;
    private Action? _made;

    /// <summary>What the database has, from event <see cref="Start"/> on.</summary>
    public EventLog Shown { get; } = new(EventMemory.MostOfOne, memory);

    /// <summary>Events that earlier runs of the generation had written.</summary>
    public int Start { get; init; }

    /// <summary>Somebody follows: what is made is written at once.</summary>
    public bool Watched { get; set; }

    /// <summary>Says from now on, and at once, that there is something to write.</summary>
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

    /// <summary>Whether something waits that should be written now.</summary>
    public bool IsDue()
    {
        lock (_gate) return _waiting.Count > 0 && (Watched || time.GetElapsedTime(_since) >= Unwatched);
    }

    /// <summary>Takes what waits, unless another writing is under way; then null. Ends with <see cref="Written"/> or <see cref="NotWritten"/>.</summary>
    public NewEvents? TryTake() => _writing.Wait(TimeSpan.Zero) ? Take() : null;

    /// <summary>The same, after the other one.</summary>
    public async Task<NewEvents> TakeAsync()
    {
        await _writing.WaitAsync();
        return Take();
    }

    /// <summary>The database has <paramref name="events"/>: they are shown.</summary>
    public void Written(NewEvents events)
    {
        using var batch = new EventBatch();
        foreach (var made in events.Events) batch.Add(made);
        Shown.Append(batch);
        _writing.Release();
    }

    /// <summary>They wait again, before what has come since, and with the same numbers: the database may have them, and then knows them by these.</summary>
    public void NotWritten(NewEvents events)
    {
        lock (_gate)
        {
            if (_waiting.Count == 0) _since = time.GetTimestamp();
            _waiting = [.. events.Events, .. _waiting];
        }
        _writing.Release();
    }

    /// <summary>Nothing more comes of this run. Readers find out from the generation itself whether it has ended.</summary>
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
            // What is shown is what was written, so the next number follows from it.
            var taken = new NewEvents(Start + Shown.Count, _waiting);
            _waiting = [];
            return taken;
        }
    }
}
