using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>
/// Computes equal inputs of embeddings once, for all calls of the project that wait for them: 1. identify the inputs, 2. divide them into
/// those that other calls compute and those that this one does, 3. run the following stages for its own, 4. wait for the others, 5. repeat
/// for those whose call has left, 6. write the response. 7. On every exit path, the call leaves: what others still need goes on.
/// </summary>
/// <remarks>
/// A call reserves all that it may cost before this stage, and keeps it until its end, so it can pay for what an earlier one leaves, and
/// the first attempt of each round needs no further reservation.
/// </remarks>
internal sealed class CoalescingStage(
    IConfigurationSource configuration, EmbeddingKeys keys, EmbeddingFlights flights, EmbeddingBatches batches, EmbeddingTakeovers takeovers,
    EmbeddingPayments payments, GenerationSharing generations, ISpool spool, CoalescingMetrics metrics) : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        var config = configuration.Current.Coalescing;
        if (config.Embeddings && call.Operation == Operation.Embeddings) return ShareAsync(call, next, cancellationToken);
        return config.Generations && GenerationSharing.CanShare(call)
            ? generations.ShareAsync(call, next, cancellationToken)
            : next(call, cancellationToken);
    }

    private async ValueTask<GatewayReply> ShareAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        // 1.
        var work = keys.WorkOf(call);
        try
        {
            while (work.Missing.Count > 0)
            {
                // 2.
                flights.Claim(work);
                // A call without an attempt needs room for its record.
                if (work.Followed.Count > 0) spool.Reserve(call);

                // 3.
                if (work.Own.Count > 0)
                {
                    call.CoveredAttempts = call.Attempts.Count;
                    call.Sender = new EmbeddingSender(work, flights, batches, takeovers);
                    var reply = await next(call, cancellationToken);
                    if (reply is GatewayReply.Refused refused)
                    {
                        flights.Refuse(work, refused.Error);
                        return refused;
                    }
                    // The provider's own response, if the request was sent as it is.
                    if (reply is not GatewayReply.Embedded { Response.Vectors.Count: 0 }) return reply;
                    foreach (var flight in work.Own) work.Take(flight);
                }

                // 4. and 5.
                if (await FollowAsync(work, cancellationToken) is { } error) return new GatewayReply.Refused(error);
                work.ForgetKnown();
            }
            // 6.
            return payments.Respond(work);
        }
        catch (SpoolUnavailableException exception)
        {
            return new GatewayReply.Refused(exception.Error);
        }
        finally
        {
            // 7.
            call.Sender = null;
            await payments.SettleAsync(work, flights.Leave(work));
        }
    }

    private async ValueTask<GatewayError?> FollowAsync(EmbeddingWork work, CancellationToken cancellationToken)
    {
        if (work.Followed.Count == 0) return null;
        var since = work.Call.Timings.Now();
        var shared = 0;
        try
        {
            foreach (var (flight, _) in work.Followed)
            {
                await takeovers.WaitAsync(work, flight.Ended, running: null, cancellationToken);
                switch (await flight.Ended)
                {
                    case FlightOutcome.Computed:
                        if (work.Take(flight)) shared++;
                        break;
                    case FlightOutcome.Failed:
                        return flight.Error;
                    case FlightOutcome.Refused:
                        work.IsAlone = true;
                        break;
                }
            }
            return null;
        }
        finally
        {
            work.Call.Timings.Add(Phase.Coalesce, since);
            if (shared > 0) metrics.Got(shared);
        }
    }
}
