using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Identity;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>The generations that are in progress for several calls. One lock; no work is done inside it. Thread-safe.</summary>
internal sealed class GenerationFlights(EventMemory memory, AttemptCharge charge)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(IdentityKey, string), GenerationFlight> _open = [];

    /// <summary>Generations that a call can join.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _open.Count;
        }
    }

    /// <summary>Calls that read or wait for a generation that others can join.</summary>
    public int Members
    {
        get
        {
            lock (_gate) return _open.Values.Sum(static flight => flight.Members.Count);
        }
    }

    /// <summary>Joins the generation in progress with this identity, or starts one as its owner.</summary>
    public GenerationShare Join(GatewayCall call, IdentityKey identity)
    {
        lock (_gate)
        {
            var key = (identity, call.Class);
            if (!_open.TryGetValue(key, out var flight)) _open[key] = flight = new GenerationFlight(key, call.Model, memory);
            var share = new GenerationShare(this, flight, call.Streams);
            flight.Members.Add(share);
            if (flight.Members.Count == 1) flight.Owner = share;
            return share;
        }
    }

    /// <summary>The owner sends an attempt.</summary>
    public FlightRun Run(GenerationFlight flight, GatewayCall call, Attempt attempt)
    {
        var run = new FlightRun(call, attempt, charge);
        lock (_gate) flight.Running = run;
        return run;
    }

    /// <summary>The owner goes on alone, and so does each of the others.</summary>
    public void Part(GenerationShare share, GatewayCall call)
    {
        Close(share.Flight);
        share.Flight.Begin(FlightStart.Refused);
        share.Leave(call);
        call.Share = null;
    }

    /// <summary>Waits until the events that are in the log may leave it.</summary>
    public async ValueTask WaitForReadersAsync(GenerationFlight flight, CancellationToken cancellationToken)
    {
        var count = flight.Log.Count;
        while (true)
        {
            Task read;
            lock (_gate) read = flight.ReadersAt(count);
            if (read.IsCompletedSuccessfully) return;
            await read.WaitAsync(cancellationToken);
        }
    }

    /// <summary>No further call can join.</summary>
    public void Close(GenerationFlight flight)
    {
        lock (_gate) CloseLocked(flight);
    }

    /// <summary>Nothing more is generated. Now it is known who pays. Before any call can see the end.</summary>
    public void Settle(GenerationFlight flight)
    {
        flight.Running?.Settle();
        lock (_gate)
        {
            CloseLocked(flight);
            if (flight.HasEnded) return;
            flight.HasEnded = true;
            flight.Payer = flight.Owner ?? (flight.Members.Count > 0 ? flight.Members[0] : null);
        }
    }

    /// <summary>All events are in the log.</summary>
    public void End(GenerationFlight flight)
    {
        try
        {
            Settle(flight);
        }
        finally
        {
            flight.Log.Complete();
        }
    }

    /// <summary>An attempt failed before it had events. While the owner is there, it tries again; otherwise another call does.</summary>
    public void RunFailed(GenerationFlight flight)
    {
        lock (_gate)
        {
            flight.Running = null;
            if (flight.Owner is not null) return;
            CloseLocked(flight);
        }
        flight.Begin(FlightStart.Left);
    }

    /// <summary>The owner has no response: its call was refused. It pays what was used until then.</summary>
    /// <param name="flight">The generation.</param>
    /// <param name="start">What that means for the others.</param>
    /// <param name="error">The error of the owner.</param>
    public void Refuse(GenerationFlight flight, FlightStart start, GatewayError error)
    {
        lock (_gate)
        {
            CloseLocked(flight);
            // Others may read it already. It goes on for them.
            if (!flight.Begin(start, error)) return;
            flight.HasEnded = true;
            flight.Payer = flight.Owner;
        }
        // An attempt whose time is over may still run.
        flight.Stop();
    }

    /// <summary>A call leaves. Decides what it pays.</summary>
    public void Leave(GenerationShare share, GatewayCall call)
    {
        var flight = share.Flight;
        bool isOwner, isAlone, pays;
        FlightRun? running;
        lock (_gate)
        {
            if (!flight.Members.Remove(share)) return;
            isOwner = ReferenceEquals(flight.Owner, share);
            isAlone = flight.Members.Count == 0;
            if (isOwner) flight.Owner = null;
            running = flight.Running;
            pays = flight.HasEnded ? ReferenceEquals(flight.Payer, share) : isAlone;
            if (isAlone || (isOwner && running is null && !flight.HasEnded)) CloseLocked(flight);
        }
        // The run may have waited for it.
        flight.Moved(share, 0, hasStopped: true);
        if (isAlone && !flight.HasEnded) flight.Stop();
        // Nothing was sent, so another call begins.
        if (isOwner && running is null) flight.Begin(FlightStart.Left);
        if (running is { } run) Pay(share, call, run, isOwner, pays);
    }

    private static void Pay(GenerationShare share, GatewayCall call, FlightRun run, bool isOwner, bool pays)
    {
        if (isOwner)
        {
            // What it has read to the end is in its own meter.
            if (call.Attempts is not [.., var own] || (pays && share.HasReadAll)) return;
            own.Share = pays ? run.Usage : default(Usage);
            own.Meter.ReportTier(run.Attempt.Meter.ServiceTier);
            return;
        }
        if (!pays) return;
        var number = call.Attempts.Count + 1;
        var attempt = new Attempt(Attempt.IdOf(call, number), number, run.Attempt.Deployment)
        {
            StartedAt = run.Attempt.StartedAt,
            Duration = call.Time.GetElapsedTime(run.Attempt.StartedAt),
            Outcome = share.HasReadAll ? Outcome.Complete.ToWire() : null,
            Error = run.Attempt.Error,
            Sent = true,
            UpstreamStatus = run.Attempt.UpstreamStatus,
            Share = run.Usage,
        };
        attempt.Meter.UpstreamModel = run.Attempt.Meter.UpstreamModel;
        attempt.Meter.ReportTier(run.Attempt.Meter.ServiceTier);
        attempt.Meter.FailedReason = run.Attempt.Meter.FailedReason;
        call.Attempts.Add(attempt);
        call.IsCoalesced = false;
    }

    private void CloseLocked(GenerationFlight flight)
    {
        if (flight.IsClosed) return;
        flight.IsClosed = true;
        _open.Remove(flight.Key);
    }
}
