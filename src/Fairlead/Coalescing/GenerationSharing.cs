using Fairlead.Auditing.Spooling;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Identity;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Coalescing;

/// <summary>
/// Generates the output of identical calls once: 1. join the generation in progress, 2. the first call runs the following stages, 3. the
/// others wait for its events, 4. start again if the first one left before there were any, 5. give each call what it asked for, a stream or
/// a whole. Thread-safe.
/// </summary>
internal sealed class GenerationSharing(RequestIdentity identity, GenerationFlights flights, IConfigurationSource configuration,
    AttemptCharge charge, ISpool spool, CoalescingMetrics metrics)
{
    /// <summary>Whether the call may share its generation: the same request has the same output, in the canonical form.</summary>
    public static bool CanShare(GatewayCall call) =>
        call.Operation == Operation.Chat && call.Facts.IsDeterministic && !call.IsRepair && !call.ForbidsCache
        && LosslessTranslation.TryPrepare(call);

    public async ValueTask<GatewayReply> ShareAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        var key = identity.Of(call);
        while (true)
        {
            // 1.
            var share = flights.Join(call, key);
            call.Share = share;
            if (share.IsOwner) return await LeadAsync(call, share, next, cancellationToken);

            // 3.
            var since = call.Timings.Now();
            FlightStart start;
            try
            {
                // A call without an attempt needs room for its record.
                spool.Reserve(call);
                start = await share.Flight.Start.WaitAsync(cancellationToken);
            }
            catch (SpoolUnavailableException exception)
            {
                share.Leave(call);
                return new GatewayReply.Refused(exception.Error);
            }
            finally
            {
                call.Timings.Add(Phase.Coalesce, since);
            }
            switch (start)
            {
                // A job can wait until the provider responds again.
                case FlightStart.Failed when call.QueuedRun is null || !share.Flight.Error!.IsRetryable:
                    share.Leave(call);
                    return new GatewayReply.Refused(share.Flight.Error!);
                case FlightStart.Streams when await FollowAsync(call, share, cancellationToken) is { } reply:
                    return reply;
                case FlightStart.Left or FlightStart.Failed:
                    // 4.
                    share.Leave(call);
                    break;
                default:
                    share.Leave(call);
                    call.Share = null;
                    return await next(call, cancellationToken);
            }
        }
    }

    // 2.
    private async ValueTask<GatewayReply> LeadAsync(GatewayCall call, GenerationShare share, GatewayStep next, CancellationToken cancellationToken)
    {
        var streams = call.Streams;
        // The provider streams, so that the others can see it; what this call gets is its own choice.
        call.Streams = true;
        call.Sender = new GenerationSender(share, flights, configuration);
        GatewayReply reply;
        try
        {
            reply = await next(call, cancellationToken);
        }
        catch
        {
            share.Leave(call);
            throw;
        }
        finally
        {
            call.Sender = null;
            call.Streams = streams;
        }
        if (reply is GatewayReply.Refused refused)
        {
            flights.Refuse(share.Flight, MeaningOf(call, refused.Error), refused.Error);
            share.Leave(call);
            return reply;
        }
        if (streams || reply is not GatewayReply.Streaming streaming) return reply;
        // 5.
        await using var events = streaming.Events;
        return await CollectAsync(call, events, cancellationToken);
    }

    /// <summary>What the refusal of the owner means for the others, which may have more money and more time than it had.</summary>
    private static FlightStart MeaningOf(GatewayCall owner, GatewayError error)
    {
        if (error.Definition.Group != ErrorGroup.Provider) return FlightStart.Refused;
        if (owner.StoppedByBudget) return FlightStart.Left;
        if (!error.IsRetryable) return FlightStart.Failed;
        return owner.Deadline is not null || owner.QueuedRun?.Postponed is not null ? FlightStart.Left : FlightStart.Failed;
    }

    /// <summary>Null if the call came too late for the first event.</summary>
    private async ValueTask<GatewayReply?> FollowAsync(GatewayCall call, GenerationShare share, CancellationToken cancellationToken)
    {
        var source = share.Flight.Running!.Attempt;
        var attempt = new Attempt("", 0, source.Deployment) { StartedAt = call.Timings.Now(), Memory = call.Memory };
        attempt.Meter.CreatedAt = call.StartedAt.ToUnixTimeSeconds();
        attempt.Meter.UpstreamModel = source.Meter.UpstreamModel;
        var reader = new GenerationReader(call, share, attempt, observes: true);
        var follower = new Following(call, share, attempt, reader, charge);
        try
        {
            if (!await follower.TryBeginAsync(cancellationToken)) return null;
        }
        catch (EventsNoLongerKeptException)
        {
            return null;
        }
        call.Answering = attempt;
        call.IsCoalesced = true;
        metrics.GotGeneration();
        if (call.Dialect.Streams is { CommitsAtAcceptance: true }) call.Accept();
        if (call.Streams) return new GatewayReply.Streaming(follower);
        await using (follower) return await CollectAsync(call, follower, cancellationToken);
    }

    private static async ValueTask<GatewayReply> CollectAsync(GatewayCall call, IEventSource events, CancellationToken cancellationToken)
    {
        var builder = new OutputBuilder();
        using var batch = new EventBatch();
        while (await events.ReadAsync(batch, cancellationToken))
        {
            foreach (var item in batch.Items)
            {
                if (item.Event is { } made) builder.Add(made);
            }
        }
        if (call.Answering?.Error is { } error) return new GatewayReply.Refused(error);
        return new GatewayReply.Complete(builder.Build());
    }

    /// <summary>The events of a follower, with the first batch in hand, and the usage at the end.</summary>
    private sealed class Following(
        GatewayCall call, GenerationShare share, Attempt attempt, GenerationReader reader, AttemptCharge charge) : IEventSource
    {
        private readonly EventBatch _first = new();
        private bool _hasFirst;

        public bool BuffersAhead => true;

        public async ValueTask<bool> TryBeginAsync(CancellationToken cancellationToken) =>
            _hasFirst = await reader.ReadAsync(_first, cancellationToken);

        public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            if (_hasFirst)
            {
                _hasFirst = false;
                batch.Clear();
                batch.SwapWith(_first);
                return true;
            }
            if (await reader.ReadAsync(batch, cancellationToken)) return true;
            // An estimate is the same for all.
            if (attempt.Meter.Report is null) attempt.Share = share.Flight.Running?.Usage;
            charge.Fix(call, attempt);
            return false;
        }

        public ValueTask DisposeAsync()
        {
            _first.Dispose();
            return reader.DisposeAsync();
        }
    }
}
