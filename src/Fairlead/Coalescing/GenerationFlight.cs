using Fairlead.Catalogue;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Identity;

namespace Fairlead.Coalescing;

/// <summary>How the wait of a call for a shared generation ended.</summary>
internal enum FlightStart
{
    /// <summary>Its events can be read.</summary>
    Streams,

    /// <summary>Its owner left before it had any, or could not try as much as others may: another call starts it.</summary>
    Left,

    /// <summary>The provider failed, as it would for the others.</summary>
    Failed,

    /// <summary>The owner was refused for a reason of its own, or got a model of its own: each of the others goes on alone.</summary>
    Refused,
}

/// <summary>
/// One generation that several calls share: the owner makes the attempts, and all read the same log. The members that change are guarded by
/// the lock of <see cref="GenerationFlights"/>.
/// </summary>
internal sealed class GenerationFlight((IdentityKey Identity, string Class) key, CatalogueModel model, EventMemory memory)
{
    private readonly TaskCompletionSource<FlightStart> _start = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private CancellationTokenSource? _run;
    private TaskCompletionSource? _waiting;
    private bool _isStopped;

    /// <summary>
    /// What is asked, and the class: a call of a higher class does not wait for one of a lower class that may wait in a queue.
    /// </summary>
    public (IdentityKey Identity, string Class) Key { get; } = key;

    /// <summary>The model for which all its calls have reserved.</summary>
    public CatalogueModel Model { get; } = model;

    /// <summary>The events so far. Bounded; a call that reads too slowly loses its place.</summary>
    public EventLog Log { get; } = new(EventMemory.MaxBytesOfLog, memory);

    /// <summary>Calls that need it, in the order in which they came. The first one pays.</summary>
    public List<GenerationShare> Members { get; } = [];

    /// <summary>The call that makes the attempts; null after it has left.</summary>
    public GenerationShare? Owner { get; set; }

    /// <summary>Whether no further call can join: it has ended, or its log no longer has its start.</summary>
    public bool IsClosed { get; set; }

    /// <summary>Whether nothing more is generated, so that the payer is known.</summary>
    public bool HasEnded { get; set; }

    /// <summary>Who pays for it, once it has ended.</summary>
    public GenerationShare? Payer { get; set; }

    /// <summary>The attempt that runs now or has the response; null before the first one is sent.</summary>
    public FlightRun? Running { get; set; }

    /// <summary>The error of <see cref="FlightStart.Failed"/>.</summary>
    public GatewayError? Error { get; private set; }

    /// <summary>Completes when its events can be read, or when it is known that there will be none.</summary>
    public Task<FlightStart> Start => _start.Task;

    /// <summary>Ends the wait of the calls. False if it has ended before.</summary>
    public bool Begin(FlightStart start, GatewayError? error = null)
    {
        Error ??= error;
        return _start.TrySetResult(start);
    }

    /// <summary>A run starts, which is cancelled when nobody needs it any more.</summary>
    /// <param name="run">Belongs to the run.</param>
    public void Attach(CancellationTokenSource run)
    {
        lock (_gate)
        {
            _run = run;
            if (!_isStopped) return;
        }
        Cancel(run);
    }

    /// <summary>Nobody needs it any more.</summary>
    public void Stop()
    {
        CancellationTokenSource? run;
        lock (_gate)
        {
            _isStopped = true;
            run = _run;
        }
        if (run is not null) Cancel(run);
    }

    /// <summary>A reader has read more events, or reads no more.</summary>
    public void Moved(GenerationShare share, int events, bool hasStopped = false)
    {
        TaskCompletionSource? waiting;
        lock (_gate)
        {
            share.Position += events;
            share.HasStopped |= hasStopped;
            (waiting, _waiting) = (_waiting, null);
        }
        waiting?.TrySetResult();
    }

    /// <summary>
    /// Completed if the first <paramref name="count"/> events may leave the log: all calls have read them that have not begun or that
    /// collect a whole response, and at least one of the others. Otherwise completes when it is worth asking again. Under the lock of
    /// the flights.
    /// </summary>
    public Task ReadersAt(int count)
    {
        lock (_gate)
        {
            var (reading, ahead) = (0, 0);
            foreach (var member in Members)
            {
                if (member.HasStopped) continue;
                reading++;
                if (member.Position >= count) ahead++;
                else if (!member.Streams || member.Position == 0) return Signal();
            }
            return reading == 0 || ahead > 0 ? Task.CompletedTask : Signal();
        }

        Task Signal() => (_waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
    }

    private static void Cancel(CancellationTokenSource run)
    {
        try
        {
            _ = run.CancelAsync();
        }
        catch (ObjectDisposedException)
        {
            // It has ended in the same moment.
        }
    }
}
