using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Providers.Http;
using Fairlead.Scheduling;
using Fairlead.Telemetry;
using Fairlead.TokenCounting;
using Fairlead.Validation;
using Microsoft.Extensions.Logging;

namespace Fairlead.Routing;

/// <summary>
/// Finds a deployment that responds: 1. count tokens without a provider if none can count them, 2. refuse a request that no deployment can
/// express, 3. take the next deployment; after all were passed, wait for a slot at any of those that had none, 4. skip it if it cannot
/// serve the request, or if its breaker is open and no test is due, 5. before every further attempt, raise the reservation or stop, 6. take
/// a slot and pass the breaker, 7. write the attempt to the spool and send it, 8. return its response if content has arrived, 9. otherwise
/// stop, retry the deployment after a delay, or take the next one, 10. return the error that helps the client most.
/// </summary>
/// <remarks>Once content has arrived, the call belongs to that attempt: nothing is retried.</remarks>
internal sealed class RoutingStage(
    ISpool spool,
    IConfigurationSource configuration,
    RoutingRandom chance,
    DeploymentSelector selector,
    TokenCounter counter,
    AttemptCharge charge,
    GatewayTelemetry telemetry,
    Scheduler scheduler,
    ITokenLedger ledger,
    DeploymentHealths healths,
    LargerModels larger,
    ILogger<RoutingStage> logger) : IGatewayStage
{
    /// <summary>
    /// An adapter ends its own attempt at the total timeout, which leaves time for another deployment. The call's token ends everything
    /// once it fires. It fires this much later, for an adapter that did not end the attempt.
    /// </summary>
    private static readonly TimeSpan Backstop = TimeSpan.FromSeconds(5);

    /// <summary>Shortest time until a job is started again for which every deployment was open.</summary>
    private static readonly TimeSpan MinPause = TimeSpan.FromSeconds(1);

    public async ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        // 1. A provider that counts in the caller's own dialect is more exact.
        if (call.Operation == Operation.CountTokens && !call.Model.Deployments.Any(deployment => deployment.Provider.Speaks(call.Dialect)))
        {
            return CountTokens(call);
        }

        // 2. Later, a stream that commits at acceptance has started.
        var commitsAtAcceptance = call.Dialect.Streams is { CommitsAtAcceptance: true };
        if (commitsAtAcceptance && RefuseUntranslatable(call) is { } untranslatable) return new GatewayReply.Refused(untranslatable);

        var retry = configuration.Current.Retry;
        GatewayError? last = null;
        TimeSpan? shortestWait = null;
        TimeSpan? untilTest = null;
        // Those without a free slot, with the retries that they had.
        List<(Deployment Deployment, int Retries)>? full = null;

        // 3.
        var (order, firstReason) = selector.Select(call);
        if (call.Rescue is { IsRescuing: true } rescue) order = rescue.Select(call, order);
        for (var i = 0; i < order.Count || full is { Count: > 0 }; i++)
        {
            var waits = i >= order.Count;
            var (retries, otherKeys) = (0, 0);
            Deployment deployment;
            if (!waits)
            {
                deployment = order[i];

                // 4.
                if ((deployment.Provider.Refuse(call) ?? deployment.Provider.RefuseUnknownValue(call)) is { } refusal)
                {
                    last ??= refusal;
                    continue;
                }
            }
            else
            {
                var slot = await scheduler.WaitAsync(call, [.. full!.Select(entry => entry.Deployment)], cancellationToken);
                if (slot.Deployment is null)
                {
                    last = MoreUseful(last, slot.Error!);
                    break;
                }
                deployment = slot.Deployment;
                retries = Remove(full!, deployment);
            }

            var health = healths.Of(deployment);
            for (var hasSlot = waits; ; retries++, hasSlot = false)
            {
                // 4.
                if (health.UntilTest is { } open)
                {
                    if (hasSlot) scheduler.GiveBack(deployment);
                    untilTest = Shorter(untilTest, open);
                    break;
                }

                // 5.
                if (call.Attempts.Count > 0 && await ExtendAsync(call, deployment, hasSlot, cancellationToken) is { } tooDear)
                    return new GatewayReply.Refused(last ?? tooDear);

                // 6.
                if (!hasSlot && !scheduler.TryTake(call, deployment))
                {
                    (full ??= []).Add((deployment, retries));
                    break;
                }
                if (!health.TryEnter(out var ticket))
                {
                    // Another call took the test at this moment.
                    scheduler.GiveBack(deployment);
                    untilTest = Shorter(untilTest, health.UntilTest ?? TimeSpan.Zero);
                    break;
                }

                // 7.
                Attempt? attempt = null;
                var kept = false;
                GatewayReply? reply;
                GatewayReply.AttemptFailed? failed;
                try
                {
                    attempt = AddAttempt(call, deployment, commitsAtAcceptance);
                    attempt.Health = ticket;
                    attempt.Reason = ticket.IsTest ? AttemptReasons.Test
                        : retries > 0 ? AttemptReasons.Retry
                        : waits ? AttemptReasons.Queue
                        : AttemptReasons.AfterOthers(call)
                            ?? (i == 0 ? firstReason
                                : untilTest is not null ? AttemptReasons.BreakerOpen
                                : full is not null ? AttemptReasons.Full
                                : AttemptReasons.Unsupported);
                    if (retries == 0) health.Retries.AddCall();
                    (reply, failed) = await TryAsync(call, attempt, cancellationToken);
                    // A stream returns its slot when its source has ended.
                    kept = reply is GatewayReply.Streaming;
                }
                finally
                {
                    if (!kept)
                    {
                        ticket.GiveBack();
                        if (attempt is null) scheduler.GiveBack(deployment);
                        else scheduler.GiveBack(call, attempt);
                    }
                }

                // 8.
                if (reply is not null)
                {
                    if (!kept) attempt.Health.Succeeded();
                    if (call.Model.Deployments.Count > 1) attempt.Health.Took(call.Time.GetElapsedTime(attempt.StartedAt), kept);
                    return reply;
                }

                // 9.
                var failure = failed!;
                // An error that only the operator can fix does not replace an error that may pass at another deployment.
                if (last is not { IsRetryable: true } || failure.Error.IsRetryable || failure.Class == FailureClass.GiveBack)
                    last = failure.Error;
                RoutingLog.AttemptFailed(logger, call.RequestId, attempt.Number, deployment.Name, failure.Error.Definition.Name,
                    failure.Status);
                if (failure.Class == FailureClass.GiveBack)
                {
                    if (failure.Error.IsContentRejection && call.Model.FailsOverContentRejections) break;
                    // A larger model has other deployments.
                    return failure.Error.Code == ErrorCode.ContextLengthExceeded && call.Rescue is not { IsRescuing: true } && larger.TryMove(call)
                        ? await InvokeAsync(call, next, cancellationToken)
                        : new GatewayReply.Refused(failure.Error);
                }
                if (failure.Error.RetryAfter is { } wait) shortestWait = Shorter(shortestWait, wait);
                if (attempt.HasOtherKey && ++otherKeys < deployment.KeyIds.Length)
                {
                    // At once, and not counted as a retry: at most one attempt for each key.
                    retries--;
                    continue;
                }
                if (failure.Class != FailureClass.Retry || retries >= retry.MaxRetries || health.UntilTest is not null) break;
                // A limit of one key is no reason to wait if another key has room.
                var asked = failure.Status == 429 && scheduler.HasOtherKey(call, deployment) ? null : failure.Error.RetryAfter;
                if (RetryDelay.Of(retries + 1, asked, retry, chance.Next()) is not { } delay) break;
                if (call.Deadline is { } deadline && call.Time.GetUtcNow() + delay >= deadline) break;
                if (!health.Retries.TryRetry(retry.Budget)) break;
                await Task.Delay(delay, call.Time, cancellationToken);
            }
        }

        // 10.
        if (untilTest is { } nextTest && last is not { IsRetryable: true })
        {
            last = RoutingErrors.AllOpen(call.Model.Id, nextTest);
            // Nothing was sent. Other jobs of its kind would only find out the same.
            var pause = nextTest > MinPause ? nextTest : MinPause;
            if (call.Attempts.Count == 0) call.QueuedRun?.TryPostpone(call, new Postponement(pause, pause));
        }
        last ??= GatewayError.ModelNotFound(call.Model.Id);
        return new GatewayReply.Refused(shortestWait is { } advised && last.IsRetryable ? last with { RetryAfter = advised } : last);
    }

    // Not in the caller: what its lambda captures would be allocated for calls that do not wait, too.
    private static int Remove(List<(Deployment Deployment, int Retries)> full, Deployment deployment)
    {
        var index = full.FindIndex(entry => ReferenceEquals(entry.Deployment, deployment));
        var retries = full[index].Retries;
        full.RemoveAt(index);
        return retries;
    }

    private static TimeSpan Shorter(TimeSpan? one, TimeSpan other) => one < other ? one.Value : other;

    /// <summary>An error of an attempt that may pass helps the client more than the news that no slot is free for another one.</summary>
    private static GatewayError MoreUseful(GatewayError? last, GatewayError noSlot) => last is { IsRetryable: true } ? last : noSlot;

    /// <summary>Raises the reservation for another attempt, or gives the slot back.</summary>
    private async ValueTask<GatewayError?> ExtendAsync(GatewayCall call, Deployment deployment, bool hasSlot,
        CancellationToken cancellationToken)
    {
        var isExtended = false;
        try
        {
            var error = await ledger.ExtendAsync(call, cancellationToken);
            isExtended = error is null;
            return error;
        }
        finally
        {
            if (hasSlot && !isExtended) scheduler.GiveBack(deployment);
        }
    }

    private GatewayReply CountTokens(GatewayCall call)
    {
        try
        {
            spool.Reserve(call);
            var counted = counter.CountInput(call);
            return new GatewayReply.Counted(counted.Tokens, counted.Basis);
        }
        catch (SpoolUnavailableException exception)
        {
            RoutingLog.SpoolUnavailable(logger, call.RequestId, exception);
            return new GatewayReply.Refused(exception.Error);
        }
        catch (GatewayErrorException refused)
        {
            return new GatewayReply.Refused(refused.Error);
        }
    }

    private Attempt AddAttempt(GatewayCall call, Deployment deployment, bool commitsAtAcceptance)
    {
        var number = call.Attempts.Count + 1;
        var attempt = new Attempt(Attempt.IdOf(call, number), number, deployment)
        {
            StartedAt = call.Timings.Now(),
            Memory = call.Memory,
            Quota = scheduler.QuotaOf(deployment),
            Sending = commitsAtAcceptance ? call.Accept : null,
        };
        attempt.Meter.CreatedAt = call.StartedAt.ToUnixTimeSeconds();
        if (call.Rescue is { } rescue) attempt.Meter.Digest = rescue.MakeDigest(call);
        call.Attempts.Add(attempt);
        return attempt;
    }

    /// <summary>
    /// A request without a translation is refused before the call counts as accepted, if no provider speaks the caller's own dialect.
    /// </summary>
    private static GatewayError? RefuseUntranslatable(GatewayCall call)
    {
        if (call.Model.Deployments.Any(deployment => deployment.Provider.Speaks(call.Dialect))) return null;
        try
        {
            _ = call.Conversation;
            return null;
        }
        catch (GatewayErrorException refused)
        {
            return refused.Error;
        }
    }

    private async ValueTask<(GatewayReply? Reply, GatewayReply.AttemptFailed? Failure)> TryAsync(GatewayCall call, Attempt attempt,
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
