using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Scheduling;
using Fairlead.Telemetry;
using Microsoft.Extensions.Logging;

namespace Fairlead.Routing;

/// <summary>
/// Makes one attempt: writes it to the spool, sends it, waits for the first content of a stream, and notes how it ended if it failed.
/// </summary>
internal sealed class AttemptRunner(
    ISpool spool, AttemptCharge charge, GatewayTelemetry telemetry, Scheduler scheduler, ILogger<RoutingStage> logger)
{
    /// <summary>
    /// An adapter ends its own attempt at the total timeout, which leaves time for another deployment. The call's token ends everything
    /// once it fires. It fires this much later, for an adapter that did not end the attempt.
    /// </summary>
    private static readonly TimeSpan Backstop = TimeSpan.FromSeconds(5);

    /// <summary>Adds the next attempt to the call.</summary>
    public Attempt Add(GatewayCall call, Deployment deployment)
    {
        var number = call.Attempts.Count + 1;
        var attempt = new Attempt(Attempt.IdOf(call, number), number, deployment)
        {
            StartedAt = call.Timings.Now(),
            Memory = call.Memory,
            Quota = scheduler.QuotaOf(deployment),
            ExtraInput = call.Rescue?.PrefillTokens ?? 0,
            Sending = call.Dialect.Streams is { CommitsAtAcceptance: true } ? call.Accept : null,
        };
        attempt.Meter.CreatedAt = call.StartedAt.ToUnixTimeSeconds();
        if (call.Rescue is { } rescue) attempt.Meter.Digest = rescue.MakeDigest(call);
        call.Attempts.Add(attempt);
        return attempt;
    }

    /// <summary>Sends the attempt. Either a response, of which a stream has its first content, or a failure.</summary>
    public async ValueTask<(GatewayReply? Reply, GatewayReply.AttemptFailed? Failure)> RunAsync(GatewayCall call, Attempt attempt,
        CancellationToken cancellationToken)
    {
        try
        {
            await spool.AttemptStartedAsync(call, attempt);
        }
        catch (SpoolUnavailableException exception)
        {
            // Nothing is sent that could not be charged after a crash.
            RoutingLog.SpoolUnavailable(logger, call.RequestId, exception);
            End(attempt, call, "failed", exception.Error);
            return (null, new GatewayReply.AttemptFailed(exception.Error, FailureClass.GiveBack));
        }

        telemetry.AttemptStarted(call, attempt);
        call.Cancellation.Arm(attempt.Deployment.Timeouts.Total + Backstop);
        GatewayReply reply;
        try
        {
            reply = await (call.Sender is { } sender
                ? sender.SendAsync(call, attempt, cancellationToken)
                : attempt.Deployment.Provider.SendAsync(call, attempt, cancellationToken));
        }
        catch (GatewayErrorException refused)
        {
            // This provider cannot express the request; another deployment may speak the caller's own dialect.
            attempt.Sent = false;
            End(attempt, call, "refused", refused.Error);
            call.Cancellation.Arm(Timeout.InfiniteTimeSpan);
            return (null, new GatewayReply.AttemptFailed(refused.Error, FailureClass.Failover));
        }
        catch (OperationCanceledException) when (call.Cancellation.Reason == CancellationReason.AttemptTimeout)
        {
            return Fail(call, attempt, TimeoutError(), FailureClass.Failover, null);
        }

        switch (reply)
        {
            case GatewayReply.AttemptFailed failed:
                return Fail(call, attempt, failed.Error, failed.Class, failed.Status);

            case GatewayReply.Streaming streaming:
                return await BeginStreamAsync(call, attempt, streaming, cancellationToken);

            case GatewayReply.NativeBody or GatewayReply.Complete or GatewayReply.Embedded or GatewayReply.Counted:
                call.Answering = attempt;
                return (reply, null);

            default:
                throw new InvalidOperationException($"Unknown reply {reply.GetType().Name}.");
        }
    }

    private async ValueTask<(GatewayReply?, GatewayReply.AttemptFailed?)> BeginStreamAsync(
        GatewayCall call, Attempt attempt, GatewayReply.Streaming streaming, CancellationToken cancellationToken)
    {
        var events = new AttemptEvents(call, attempt, streaming.Events, telemetry.ClockOf(call, attempt), scheduler);
        var kept = false;
        try
        {
            if (await events.WaitForContentAsync(cancellationToken) == StreamStart.Broken)
            {
                return Fail(call, attempt, events.Error!, UpstreamErrors.ClassOf(events.Error!), attempt.UpstreamStatus);
            }
            call.Answering = attempt;
            kept = true;
            events.HoldsSlot = true;
            attempt.Health.Responded();
            return (new GatewayReply.Streaming(events), null);
        }
        catch (OperationCanceledException) when (call.Cancellation.Reason == CancellationReason.AttemptTimeout)
        {
            return Fail(call, attempt, TimeoutError(), FailureClass.Failover, attempt.UpstreamStatus);
        }
        finally
        {
            if (!kept) await events.DisposeAsync();
        }
    }

    private (GatewayReply?, GatewayReply.AttemptFailed?) Fail(GatewayCall call, Attempt attempt, GatewayError error, FailureClass failureClass,
        int? status)
    {
        attempt.UpstreamStatus = status ?? attempt.UpstreamStatus;
        // The provider's own error text is not passed on; the caller's dialect knows the position in the input.
        if (error.Code == ErrorCode.ContextLengthExceeded) error = error with { Parameter = call.Dialect.InputField };
        End(attempt, call, "failed", error);
        attempt.Health.Ended(HealthVerdicts.Of(call, attempt, error));
        // Noted now, because the start record of the next attempt carries it: a kill during that attempt must not lose this one.
        charge.Fix(call, attempt);
        telemetry.AttemptEnded(call, attempt);
        // The token that timed the attempt out has fired for good, so no time is left for another attempt.
        // Stop the timer of any other failed attempt; otherwise it cancels the next one.
        call.Cancellation.Arm(Timeout.InfiniteTimeSpan);
        var final = call.Cancellation.Reason == CancellationReason.AttemptTimeout ? FailureClass.GiveBack : failureClass;
        return (null, new GatewayReply.AttemptFailed(error, final, status));
    }

    private static void End(Attempt attempt, GatewayCall call, string outcome, GatewayError error)
    {
        attempt.Outcome = outcome;
        attempt.Error = error;
        attempt.Duration = call.Time.GetElapsedTime(attempt.StartedAt);
    }

    private static GatewayError TimeoutError() => new(ErrorCode.ProviderTimeout, "The model's provider did not finish in time.");
}
