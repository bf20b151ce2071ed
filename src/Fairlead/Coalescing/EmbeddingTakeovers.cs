using Fairlead.Auditing.Spooling;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>
/// Waits for the work of others, and records meanwhile what a call takes over from calls that leave: after a crash, the request is charged
/// to the call for which it went on. Only the flow of the call itself writes its records. Thread-safe.
/// </summary>
internal sealed class EmbeddingTakeovers(EmbeddingFlights flights, AttemptCharge charge, ISpool spool)
{
    /// <summary>Waits for a task, however it ends.</summary>
    /// <param name="work">The call that waits.</param>
    /// <param name="task">The task.</param>
    /// <param name="running">The call's own attempt that is in progress; null for none.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async ValueTask WaitAsync(EmbeddingWork work, Task task, Attempt? running, CancellationToken cancellationToken)
    {
        if (task.IsCompleted) return;
        while (!task.IsCompleted)
        {
            var signal = flights.Listen(work);
            await Task.WhenAny(task, signal).WaitAsync(cancellationToken);
            if (signal.IsCompleted) await RecordAsync(work, running);
        }
        if (flights.StopListening(work)) await RecordAsync(work, running);
    }

    /// <summary>
    /// Adds attempts for what was taken over while the call's own attempt was in progress. The record of a further attempt repeats them.
    /// </summary>
    public void AddAttempts(EmbeddingWork work)
    {
        foreach (var takeover in flights.TakeoversOf(work))
        {
            if (takeover.Attempt is not null) continue;
            var attempt = AttemptOf(work.Call, takeover);
            attempt.Share = EmbeddingWork.Guess(takeover.Bytes);
            charge.Fix(work.Call, attempt);
        }
    }

    /// <summary>Records that an attempt in progress may be charged no more than its own inputs, and what the call has taken over.</summary>
    public void Checkpoint(EmbeddingWork work, Attempt running, long bytes)
    {
        foreach (var takeover in flights.TakeoversOf(work)) bytes += takeover.Attempt is null ? takeover.Bytes : 0;
        var state = new Attempt(running.Id, running.Number, running.Deployment) { Share = EmbeddingWork.Guess(bytes) };
        spool.AttemptProgressed(work.Call, state);
    }

    private async ValueTask RecordAsync(EmbeddingWork work, Attempt? running)
    {
        var takeovers = flights.TakeUnrecorded(work);
        try
        {
            // The spool has the start of the attempt in progress; what was taken over is added to what that is charged.
            if (running is not null)
            {
                Checkpoint(work, running, work.Own.Sum(flight => work.BytesOf(flight.Key)));
                return;
            }
            foreach (var takeover in takeovers) await RecordAsync(work.Call, takeover);
        }
        finally
        {
            flights.Recorded(work);
        }
    }

    private async ValueTask RecordAsync(GatewayCall call, EmbeddingTakeover takeover)
    {
        var attempt = AttemptOf(call, takeover);
        attempt.Share = EmbeddingWork.Guess(takeover.Bytes);
        charge.Fix(call, attempt);
        if (takeover.IsOnSpool) spool.AttemptProgressed(call, attempt);
        else await StartAsync(call, takeover, attempt);
    }

    /// <summary>Sets what the call pays in the end, after it has left.</summary>
    public async ValueTask SettleAsync(EmbeddingWork work)
    {
        foreach (var takeover in work.Takeovers.Values)
        {
            var usage = takeover.UsageFor(work);
            if (usage is null && takeover.Attempt is null) continue;
            var attempt = AttemptOf(work.Call, takeover);
            attempt.Share = usage ?? default;
            attempt.Duration = work.Call.Time.GetElapsedTime(attempt.StartedAt);
            var source = takeover.Flights.Find(static flight => flight.Vector is not null)?.Vector!.Source;
            attempt.UpstreamStatus = source?.UpstreamStatus;
            attempt.Meter.UpstreamModel = source?.Meter.UpstreamModel;
            if (source is not null) attempt.Outcome = "complete";
            charge.Fix(work.Call, attempt);
            if (!takeover.IsOnSpool) await StartAsync(work.Call, takeover, attempt);
        }
    }

    /// <inheritdoc cref="EmbeddingFlights.Recorded"/>
    public void Recorded(EmbeddingWork work) => flights.Recorded(work);

    private static Attempt AttemptOf(GatewayCall call, EmbeddingTakeover takeover)
    {
        if (takeover.Attempt is { } known) return known;
        var number = call.Attempts.Count + 1;
        var source = takeover.Share.Attempt;
        var attempt = new Attempt(Attempt.IdOf(call, number), number, source.Deployment) { StartedAt = source.StartedAt, Sent = true };
        call.Attempts.Add(attempt);
        return takeover.Attempt = attempt;
    }

    private async ValueTask StartAsync(GatewayCall call, EmbeddingTakeover takeover, Attempt attempt)
    {
        takeover.IsOnSpool = true;
        // Those before it are over; the record has what they cost.
        foreach (var earlier in call.Attempts) charge.Fix(call, earlier);
        try
        {
            await spool.AttemptStartedAsync(call, attempt);
        }
        catch (SpoolUnavailableException)
        {
            // It is being computed anyway. The record of the end has it too.
        }
    }
}
