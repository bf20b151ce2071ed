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
            lock (_gate) return _flights.Values.Sum(static flight => flight.Followers.Count);
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
                if (!work.IsAlone && _flights.TryGetValue(key, out var flight))
                {
                    flight.Followers.Add(work);
                    work.Followed.Add(flight);
                    continue;
                }
                var made = new EmbeddingFlight(key, work);
                // One that is not shared is not found by others.
                if (!work.IsAlone) _flights.Add(key, made);
                work.Own.Add(made);
            }
        }
    }

    /// <summary>A request for a share is about to be sent, or to wait for others.</summary>
    public void Attach(EmbeddingShare share)
    {
        lock (_gate)
        {
            foreach (var flight in share.Flights) flight.Share = share;
        }
    }

    /// <summary>Assigns shares to a request that starts now. Shares that nobody needs are returned: they are not sent.</summary>
    public IReadOnlyList<EmbeddingShare> Start(EmbeddingRun run)
    {
        lock (_gate)
        {
            var dropped = run.Shares.FindAll(static share => !share.IsWanted);
            run.Shares.RemoveAll(static share => !share.IsWanted);
            foreach (var share in run.Shares) share.Run = run;
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

    /// <summary>The inputs of a share are computed.</summary>
    /// <param name="share">The share.</param>
    /// <param name="usages">What each input cost.</param>
    /// <param name="isSplit">Whether the call's own reply is made of the vectors too.</param>
    /// <param name="vectorOf">Creates a vector; called only for those that a call needs.</param>
    /// <param name="apply">Sets the attempt of a call that still waits.</param>
    public void Complete(EmbeddingShare share, Usage[] usages, bool isSplit, Func<int, Usage, EmbeddingVector> vectorOf,
        Action<EmbeddingShare> apply)
    {
        lock (_gate)
        {
            if (!share.HasLeft) apply(share);
            for (var i = 0; i < share.Flights.Count; i++)
            {
                var flight = share.Flights[i];
                // The owner may have retried it in another request.
                if (flight.HasEnded || !ReferenceEquals(flight.Share, share)) continue;
                Remove(flight);
                flight.Compute(flight.Followers.Count > 0 || isSplit ? vectorOf(i, usages[i]) : null);
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
                if (flight.HasEnded || !ReferenceEquals(flight.Share, share)) continue;
                flight.Share = null;
                if (flight.Owner is null) End(flight, FlightOutcome.Left);
            }
        }
    }

    /// <summary>
    /// The call was refused. Followers get the same error if the provider failed, and compute the inputs themselves otherwise.
    /// </summary>
    public void Refuse(EmbeddingWork work, GatewayError error)
    {
        var isOfProvider = error.IsRetryable
            && error.Code is ErrorCode.ProviderError or ErrorCode.ProviderUnavailable or ErrorCode.ProviderTimeout;
        List<EmbeddingRun>? unwanted = null;
        lock (_gate)
        {
            foreach (var flight in work.Own)
            {
                if (flight.HasEnded) continue;
                End(flight, isOfProvider ? FlightOutcome.Failed : FlightOutcome.Refused, isOfProvider ? error : null);
                // An attempt may have timed out here while its request still runs.
                if (flight.Share is not { } share) continue;
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
    /// <returns>What the call pays for inputs that were in progress: of its own attempt, and of requests that others had started.</returns>
    public (EmbeddingDebt? Own, EmbeddingDebt? Followed) Leave(EmbeddingWork work)
    {
        EmbeddingDebt? own = null, followed = null;
        List<EmbeddingRun>? unwanted = null;
        lock (_gate)
        {
            foreach (var flight in work.Own)
            {
                if (flight.HasEnded) continue;
                flight.Owner = null;
                if (flight.Share is { } share)
                {
                    share.HasLeft = true;
                    own ??= new EmbeddingDebt(share.Attempt) { IsWhole = share.IsWhole };
                    // It pays for what nobody else needs. The rest is paid by the next.
                    if (flight.Followers.Count == 0) own.Bytes += work.BytesOf(flight.Key);
                    else own.IsWhole = false;
                }
                LeaveBehind(flight, ref unwanted);
            }
            foreach (var flight in work.Followed)
            {
                if (flight.HasEnded)
                {
                    if (ReferenceEquals(flight.Payer, work)) work.Buy(flight.Vector!);
                    continue;
                }
                flight.Followers.Remove(work);
                if (flight.Owner is not null) continue;
                // The last one of those for whom the request continued.
                if (flight.Share is { } share && flight.Followers.Count == 0)
                {
                    followed ??= new EmbeddingDebt(share.Attempt);
                    followed.Bytes += work.BytesOf(flight.Key);
                }
                LeaveBehind(flight, ref unwanted);
            }
        }
        Cancel(unwanted);
        return (own, followed);
    }

    // Without its owner, an input is computed only by a request that is in progress, and only for followers.
    private void LeaveBehind(EmbeddingFlight flight, ref List<EmbeddingRun>? unwanted)
    {
        var share = flight.Share;
        if (share is null || flight.Followers.Count == 0) End(flight, FlightOutcome.Left);
        if (share is not null) AddIfUnwanted(share, ref unwanted);
    }

    private static void AddIfUnwanted(EmbeddingShare share, ref List<EmbeddingRun>? unwanted)
    {
        // One that waits for others has no request yet, and is dropped when that starts.
        if (share.Run is { } run && run.Shares.TrueForAll(static each => !each.IsWanted)) (unwanted ??= []).Add(run);
    }

    // Not under the lock: it runs what waits for the token.
    private static void Cancel(List<EmbeddingRun>? runs)
    {
        foreach (var run in runs ?? []) run.Cancel();
    }

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
