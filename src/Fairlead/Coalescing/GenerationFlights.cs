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
            if (!_open.TryGetValue(key, out var flight)) _open[key] = flight = new GenerationFlight(key, memory);
            var share = new GenerationShare(this, flight);
            flight.Members.Add(share);
            if (flight.Members.Count == 1) flight.Owner = share;
            return share;
        }
    }

    /// <summary>The owner sends an attempt. False if the owner has left.</summary>
    public bool TryRun(GenerationFlight flight, GatewayCall call, Attempt attempt)
    {
        lock (_gate)
        {
            flight.Running = (call, attempt);
            return flight.Owner is not null;
        }
    }

    /// <summary>Events are in the log: the calls that wait read them.</summary>
    public void Begin(GenerationFlight flight) => flight.Begin(FlightStart.Streams);

    /// <summary>No further call can join.</summary>
    public void Close(GenerationFlight flight)
    {
        lock (_gate) CloseLocked(flight);
    }

    /// <summary>All events are in the log. Now it is known who pays.</summary>
    public void End(GenerationFlight flight)
    {
        lock (_gate)
        {
            CloseLocked(flight);
            flight.HasEnded = true;
            flight.Payer = flight.Owner ?? (flight.Members.Count > 0 ? flight.Members[0] : null);
        }
        flight.Log.Complete();
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

    /// <summary>The owner has no response: its call was refused.</summary>
    public void Refuse(GenerationFlight flight, GatewayError error)
    {
        Close(flight);
        flight.Begin(error.Definition.Group == ErrorGroup.Provider ? FlightStart.Failed : FlightStart.Refused, error);
        // An attempt whose time is over may still run.
        flight.Stop();
    }

    /// <summary>A call leaves. Decides what it pays.</summary>
    public void Leave(GenerationShare share, GatewayCall call)
    {
        var flight = share.Flight;
        bool isOwner, isAlone, pays;
        (GatewayCall Call, Attempt Attempt)? running;
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
        if (isAlone && !flight.HasEnded) flight.Stop();
        // Nothing was sent, so another call begins.
        if (isOwner && running is null) flight.Begin(FlightStart.Left);
        if (running is { } run) Pay(share, call, run, isOwner, pays);
    }

    private void Pay(GenerationShare share, GatewayCall call, (GatewayCall Call, Attempt Attempt) run, bool isOwner, bool pays)
    {
        if (isOwner)
        {
            // What it has read to the end is in its own meter.
            if (call.Attempts is not [.., var own] || (pays && share.HasReadAll)) return;
            own.Share = pays ? UsageOf(run) : default(Usage);
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
            Share = UsageOf(run),
        };
        attempt.Meter.UpstreamModel = run.Attempt.Meter.UpstreamModel;
        attempt.Meter.ReportTier(run.Attempt.Meter.ServiceTier);
        call.Attempts.Add(attempt);
        call.IsCoalesced = false;
    }

    /// <summary>What the provider reported, or an estimate of what was generated so far.</summary>
    private Usage UsageOf((GatewayCall Call, Attempt Attempt) run)
    {
        charge.Fix(run.Call, run.Attempt);
        return run.Attempt.Usage;
    }

    private void CloseLocked(GenerationFlight flight)
    {
        if (flight.IsClosed) return;
        flight.IsClosed = true;
        _open.Remove(flight.Key);
    }
}
