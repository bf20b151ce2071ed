using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Identity;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>How the wait of a call for a shared generation ended.</summary>
internal enum FlightStart
{
    /// <summary>Its events can be read.</summary>
    Streams,

    /// <summary>Its owner left before it had any: another call starts it.</summary>
    Left,

    /// <summary>The provider failed, as it would for the others.</summary>
    Failed,

    /// <summary>The owner was refused for a reason of its own: each of the others goes on alone.</summary>
    Refused,
}

/// <summary>
/// One generation that several calls share: the owner makes the attempts, and all read the same log. The members that change are guarded by
/// the lock of <see cref="GenerationFlights"/>.
/// </summary>
internal sealed class GenerationFlight((IdentityKey Identity, string Class) key, EventMemory memory)
{
    private readonly TaskCompletionSource<FlightStart> _start = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();

    /// <summary>
    /// What is asked, and the class: a call of a higher class does not wait for one of a lower class that may wait in a queue.
    /// </summary>
    public (IdentityKey Identity, string Class) Key { get; } = key;

    /// <summary>The events so far. Bounded; a call that reads too slowly loses its place.</summary>
    public EventLog Log { get; } = new(EventMemory.MaxBytesOfLog, memory);

    /// <summary>Calls that need it, in the order in which they came. The first one pays.</summary>
    public List<GenerationShare> Members { get; } = [];

    /// <summary>The call that makes the attempts; null after it has left.</summary>
    public GenerationShare? Owner { get; set; }

    /// <summary>Whether no further call can join: it has ended, or its log no longer has its start.</summary>
    public bool IsClosed { get; set; }

    /// <summary>Whether all events are in the log.</summary>
    public bool HasEnded { get; set; }

    /// <summary>Who pays for it, once it has ended.</summary>
    public GenerationShare? Payer { get; set; }

    /// <summary>The call and the attempt that run now, for no caller; null before the first one is sent.</summary>
    public (GatewayCall Call, Attempt Attempt)? Running { get; set; }

    /// <summary>The error of <see cref="FlightStart.Failed"/>.</summary>
    public GatewayError? Error { get; private set; }

    /// <summary>Completes when its events can be read, or when it is known that there will be none.</summary>
    public Task<FlightStart> Start => _start.Task;

    /// <summary>Fires when nobody needs it any more.</summary>
    public CancellationToken Stopped => _stop.Token;

    public void Begin(FlightStart start, GatewayError? error = null)
    {
        Error ??= error;
        _start.TrySetResult(start);
    }

    // Not disposed: it has no timer, and a run may still look at its token.
    public void Stop() => _ = _stop.CancelAsync();
}
