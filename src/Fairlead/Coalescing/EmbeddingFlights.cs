using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Identity;

namespace Fairlead.Coalescing;

/// <summary>
/// The inputs that are being computed, and who waits for them. One lock for all: each step takes a few dictionary accesses for each input.
/// Thread-safe. Holds an input only while a call computes it or a request of it is in progress for a follower.
/// </summary>
internal sealed class EmbeddingFlights
{
    // Of the calls that may pay next, this many are asked whether they can record it at once.
    private const int MaxHeirsAsked = 8;

    private readonly Lock _gate = new();
    private readonly Dictionary<IdentityKey, EmbeddingFlight> _flights = [];

    /// <summary>Inputs that are being computed.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _flights.Count;
        }
    }

    /// <summary>Calls that wait for inputs of others, once for each input.</summary>
    public int Followers
    {
        get
        {
            lock (_gate) return _flights.Values.Sum(static flight => flight.Followers?.Count ?? 0);
        }
    }

    /// <summary>Divides what a call lacks: it follows the inputs that others compute, and owns the rest.</summary>
    public void Claim(EmbeddingWork work)
    {
        lock (_gate)
        {
            work.Own.Clear();
            work.Followed.Clear();
            foreach (var key in work.Missing)
            {
                if (!work.IsAlone && _flights.TryGetValue(key, out var flight) && MayFollow(work, flight))
                {
                    work.Followed.Add((flight, flight.Follow(work)));
                    continue;
                }
                var made = new EmbeddingFlight(key, work);
                // One that is not shared is not found by others. It replaces one for which this call may not wait.
                if (!work.IsAlone) _flights[key] = made;
                work.Own.Add(made);
            }
        }
    }

    /// <summary>A request for a share is about to be sent, or to wait for others.</summary>
    public void Attach(EmbeddingShare share)
    {
        lock (_gate)
        {
            foreach (var flight in share.Flights) flight.SetShare(share);
        }
    }

    /// <summary>Assigns shares to a request that starts now. Shares that nobody needs are returned: they are not sent.</summary>
    public IReadOnlyList<EmbeddingShare> Start(EmbeddingRun run)
    {
        lock (_gate)
        {
            var dropped = run.Shares.FindAll(static share => !share.IsWanted);
            if (dropped.Count > 0) run.Shares.RemoveAll(static share => !share.IsWanted);
            run.Wanted = run.Shares.Count;
            var together = run.Shares.Count > 1 ? new Pipeline.SharedRequest() : null;
            foreach (var share in run.Shares)
            {
                share.Run = run;
                if (!share.HasLeft) share.Attempt.SharedRequest = together;
            }
            return dropped;
        }
    }

    /// <summary>Runs <paramref name="change"/> on a share whose call still waits; nothing happens after it has left.</summary>
    public void IfPresent(EmbeddingShare share, Action<EmbeddingShare> change)
    {
        lock (_gate)
        {
            if (!share.HasLeft) change(share);
        }
    }

    /// <summary>
    /// The inputs of a share are computed: 1. no further call may follow them, 2. the vectors that a call needs are made, without the lock,
    /// 3. all that wait get theirs.
    /// </summary>
    /// <param name="share">The share.</param>
    /// <param name="usages">What each input cost.</param>
    /// <param name="isSplit">Whether the call's own reply is made of the vectors too.</param>
    /// <param name="vectorOf">Creates a vector; called only for those that a call needs.</param>
    /// <param name="apply">Sets the attempt of a call that still waits.</param>
    public void Complete(EmbeddingShare share, Usage[] usages, bool isSplit, Func<int, Usage, EmbeddingVector> vectorOf,
        Action<EmbeddingShare> apply)
    {
        var needed = new bool[share.Flights.Count];
        // 1.
        lock (_gate)
        {
            for (var i = 0; i < needed.Length; i++)
            {
                var flight = share.Flights[i];
                if (!IsOf(flight, share)) continue;
                Remove(flight);
                needed[i] = isSplit || flight.IsFollowed;
            }
        }
        // 2.
        var vectors = new EmbeddingVector?[needed.Length];
        for (var i = 0; i < needed.Length; i++)
        {
            if (needed[i]) vectors[i] = vectorOf(i, usages[i]);
        }
        // 3.
        lock (_gate)
        {
            if (!share.HasLeft) apply(share);
            for (var i = 0; i < needed.Length; i++)
            {
                if (IsOf(share.Flights[i], share)) share.Flights[i].Compute(vectors[i]);
            }
        }
    }

    /// <summary>A request has failed. If the call still waits, it may try again; otherwise a follower must.</summary>
    public void Detach(EmbeddingShare share)
    {
        lock (_gate)
        {
            foreach (var flight in share.Flights)
            {
                if (!IsOf(flight, share)) continue;
                flight.SetShare(null);
                if (flight.Owner is null) End(flight, FlightOutcome.Left);
            }
        }
    }

    /// <summary>
    /// The call was refused. Followers get the same error if the provider failed or was at its limit at an attempt of the call. If the
    /// provider refused what the request contained, each of them computes the inputs alone. Any other reason, such as a limit, a queue, a
    /// budget or a deadline, is the call's own: one of the followers goes on, for all of them.
    /// </summary>
    public void Refuse(EmbeddingWork work, GatewayError error)
    {
        var outcome = IsOfProvider(work, error) ? FlightOutcome.Failed
            : work.Call.Attempts.Exists(Pipeline.SharedRequest.MayBeOfContent) ? FlightOutcome.Refused
            : FlightOutcome.Left;
        List<EmbeddingRun>? unwanted = null;
        lock (_gate)
        {
            foreach (var flight in work.Own)
            {
                if (flight.HasEnded) continue;
                var share = flight.Share;
                End(flight, outcome, outcome == FlightOutcome.Failed ? error : null);
                // An attempt may have timed out here while its request still runs.
                if (share is null) continue;
                share.HasLeft = true;
                AddIfUnwanted(share, ref unwanted);
            }
        }
        Cancel(unwanted);
    }

    /// <summary>
    /// The call leaves: it was cancelled, or has all that it needs. A request that others need continues; one that nobody needs is
    /// cancelled.
    /// </summary>
    public EmbeddingDeparture Leave(EmbeddingWork work)
    {
        var departure = new EmbeddingDeparture();
        List<EmbeddingRun>? unwanted = null;
        lock (_gate)
        {
            work.StopListening();
            foreach (var flight in work.Own)
            {
                if (!flight.HasEnded) LeaveOwn(work, flight, departure, ref unwanted);
            }
            foreach (var (flight, place) in work.Followed)
            {
                if (!flight.HasEnded) LeaveFollowed(work, flight, place, departure, ref unwanted);
            }
            // Who waits for its records waits for those of the next ones too.
            if (departure.Recorded.Count == 0) work.Recorded();
        }
        Cancel(unwanted);
        return departure;
    }

    /// <summary>Notes that the flow of the call can record at once what it takes over.</summary>
    /// <returns>Completes when it has something to record.</returns>
    public Task Listen(EmbeddingWork work)
    {
        lock (_gate) return work.Listen();
    }

    /// <summary>The opposite. Returns whether the call has something to record.</summary>
    public bool StopListening(EmbeddingWork work)
    {
        lock (_gate) return work.StopListening();
    }

    /// <summary>What the call has taken over so far.</summary>
    public IReadOnlyCollection<EmbeddingTakeover> TakeoversOf(EmbeddingWork work)
    {
        lock (_gate) return work.Takeovers.Count == 0 ? [] : [.. work.Takeovers.Values];
    }

    /// <summary>What the call has to record.</summary>
    public IReadOnlyList<EmbeddingTakeover> TakeUnrecorded(EmbeddingWork work)
    {
        lock (_gate) return work.TakeUnrecorded();
    }

    /// <summary>The calls from which the call took over may end now.</summary>
    public void Recorded(EmbeddingWork work)
    {
        lock (_gate) work.Recorded();
    }

    // A call waits for nobody who may wait longer than itself: a call of a lower class, or one that has no slot yet and that the
    // scheduler treats in another way.
    private static bool MayFollow(EmbeddingWork work, EmbeddingFlight flight)
    {
        if (flight.Owner is not { } owner) return true;
        if (CallClasses.RankOf(owner.Call.Class) > CallClasses.RankOf(work.Call.Class)) return false;
        return flight.Share is not null
            || (owner.Call.Caller.OrganizationId == work.Call.Caller.OrganizationId
                && (owner.Call.QueuedRun is null || work.Call.QueuedRun is not null));
    }

    private static bool IsOfProvider(EmbeddingWork work, GatewayError error) => error.IsRetryable && error.Code switch
    {
        ErrorCode.ProviderError or ErrorCode.ProviderUnavailable or ErrorCode.ProviderTimeout =>
            work.Call.Attempts.Exists(static attempt => attempt.Error is not null),
        // The gateway's own limits have the same code.
        ErrorCode.RateLimitExceeded => work.Call.Attempts.Exists(static attempt => attempt.Error is { Code: ErrorCode.RateLimitExceeded }),
        _ => false,
    };

    private void LeaveOwn(EmbeddingWork work, EmbeddingFlight flight, EmbeddingDeparture departure, ref List<EmbeddingRun>? unwanted)
    {
        flight.Owner = null;
        if (flight.Share is { } share)
        {
            share.HasLeft = true;
            if (departure.Own is null) (departure.Own, departure.OwnIsWhole) = (share.Attempt, share.IsWhole);
            // It pays for what nobody else needs. The rest is paid by the next.
            if (flight.IsFollowed)
            {
                departure.OwnIsWhole = false;
                PassOn(flight, share, departure);
            }
            else if (share.Run is not null)
            {
                // One that still waits for others is never sent.
                departure.OwnBytes += work.BytesOf(flight.Key);
            }
        }
        LeaveBehind(flight, ref unwanted);
    }

    private void LeaveFollowed(EmbeddingWork work, EmbeddingFlight flight, LinkedListNode<EmbeddingWork> place,
        EmbeddingDeparture departure, ref List<EmbeddingRun>? unwanted)
    {
        flight.Unfollow(place);
        if (flight.Owner is not null) return;
        if (flight.Share is { } share && ReferenceEquals(flight.Payer, work))
        {
            if (flight.IsFollowed) PassOn(flight, share, departure);
            // The last one of those for whom the request continued.
            else if (share.Run is not null) work.Takeovers[share].AbandonedBytes += work.BytesOf(flight.Key);
        }
        LeaveBehind(flight, ref unwanted);
    }

    private static void PassOn(EmbeddingFlight flight, EmbeddingShare share, EmbeddingDeparture departure)
    {
        var heir = flight.Followers!.First!.Value;
        var asked = 0;
        for (var place = flight.Followers.First; place is not null && asked < MaxHeirsAsked; place = place.Next, asked++)
        {
            if (!place.Value.IsListening) continue;
            heir = place.Value;
            break;
        }
        flight.Payer = heir;
        var recorded = heir.TakeOver(flight, share);
        // Without a slot it has no record yet, and may not get one soon.
        if (heir.IsListening && (departure.Recorded.Count == 0 || departure.Recorded[^1] != recorded)) departure.Recorded.Add(recorded);
    }

    // Without its owner, an input is computed only by a request that is in progress, and only for followers.
    private void LeaveBehind(EmbeddingFlight flight, ref List<EmbeddingRun>? unwanted)
    {
        var share = flight.Share;
        if (share is null || !flight.IsFollowed) End(flight, FlightOutcome.Left);
        if (share is not null) AddIfUnwanted(share, ref unwanted);
    }

    private static void AddIfUnwanted(EmbeddingShare share, ref List<EmbeddingRun>? unwanted)
    {
        // One that waits for others has no request yet, and is dropped when that starts.
        if (share.Run is not { } run || share.IsReleased || share.IsWanted) return;
        share.IsReleased = true;
        if (--run.Wanted == 0) (unwanted ??= []).Add(run);
    }

    // Not under the lock: it runs what waits for the token.
    private static void Cancel(List<EmbeddingRun>? runs)
    {
        foreach (var run in runs ?? []) run.Cancel();
    }

    // The owner may have retried it in another request.
    private static bool IsOf(EmbeddingFlight flight, EmbeddingShare share) => !flight.HasEnded && ReferenceEquals(flight.Share, share);

    private void End(EmbeddingFlight flight, FlightOutcome outcome, GatewayError? error = null)
    {
        Remove(flight);
        flight.End(outcome, error);
    }

    private void Remove(EmbeddingFlight flight)
    {
        if (_flights.TryGetValue(flight.Key, out var known) && ReferenceEquals(known, flight)) _flights.Remove(flight.Key);
    }
}
