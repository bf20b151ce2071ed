using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Scheduling;
using Microsoft.Extensions.Logging;

namespace Fairlead.Routing;

/// <summary>
/// Tries one deployment: 1. pass it if it is drained, or its breaker is open and no test is due, 2. before every further attempt of the
/// call, raise the reservation or stop, 3. take a slot and pass the breaker, 4. make the attempt, 5. return its response if content has
/// arrived, 6. otherwise stop, try again after a delay, or leave the deployment.
/// </summary>
/// <remarks>Once content has arrived, the call belongs to that attempt: nothing is retried.</remarks>
internal sealed class DeploymentTrial(
    IConfigurationSource configuration,
    RoutingRandom chance,
    AttemptRunner runner,
    Scheduler scheduler,
    ITokenLedger ledger,
    DeploymentHealths healths,
    DeploymentAvailability availability,
    ILogger<RoutingStage> logger)
{
    /// <summary>The response or the end of the call; null if the next deployment is to be tried.</summary>
    /// <param name="call">The call.</param>
    /// <param name="deployment">One that can serve it.</param>
    /// <param name="search">What the call found so far.</param>
    /// <param name="visit">How the call comes here.</param>
    /// <param name="cancellationToken">The token of the call.</param>
    public async ValueTask<GatewayReply?> TryAsync(
        GatewayCall call, Deployment deployment, DeploymentSearch search, DeploymentVisit visit, CancellationToken cancellationToken)
    {
        var retry = configuration.Current.Retry;
        var health = healths.Of(deployment);
        // It lost the stream of this call, so this is a retry too.
        if (!visit.HasWaited && call.Rescue is { IsRescuing: true } rescue && rescue.WasLost(deployment)
            && !health.Retries.TryRetry(retry.Budget))
        {
            return null;
        }
        var (retries, otherKeys) = (visit.Retries, 0);
        // A count or a moderation says nothing about what other calls need, and many servers have neither. A moderation may go to an open
        // deployment when a test is due, which leaves that test to another call: no other call may come.
        var mayTest = call.Operation is not (Operation.CountTokens or Operation.Moderation);
        var mayVisit = call.Operation != Operation.CountTokens;
        for (var hasSlot = visit.HasWaited; ; retries++, hasSlot = false)
        {
            // 1.
            if (availability.IsClosed(deployment, search, mayVisit))
            {
                if (hasSlot) LoseSlot(call, deployment, search, retries, mayVisit);
                return null;
            }

            // 2.
            if (call.Attempts.Count > call.CoveredAttempts && await ExtendAsync(call, deployment, hasSlot, cancellationToken) is { } tooDear)
                return new GatewayReply.Refused(search.Last ?? tooDear);

            // 3.
            if (!hasSlot && !scheduler.TryTake(call, deployment))
            {
                search.AddFull(deployment, retries);
                return null;
            }
            HealthTicket ticket;
            if (!mayTest)
            {
                ticket = health.EnterUncounted();
            }
            else if (!health.TryEnter(out ticket))
            {
                // Another call took the test at this moment.
                search.AddOpen(health.UntilTest ?? TimeSpan.Zero);
                LoseSlot(call, deployment, search, retries, hasSlot);
                return null;
            }

            // 4.
            Attempt? attempt = null;
            var kept = false;
            GatewayReply? reply;
            GatewayReply.AttemptFailed? failed;
            try
            {
                attempt = runner.Add(call, deployment);
                attempt.Health = ticket;
                attempt.Reason = search.ReasonOf(call, visit, ticket.IsTest, retries);
                if (retries == 0) health.Retries.AddCall();
                (reply, failed) = await runner.RunAsync(call, attempt, cancellationToken);
                // A stream returns its slot when its source has ended.
                kept = reply is GatewayReply.Streaming;
            }
            finally
            {
                if (!kept)
                {
                    ticket.GiveBack();
                    if (attempt is null) scheduler.GiveBack(call, deployment);
                    else scheduler.GiveBack(call, attempt);
                }
            }

            // 5.
            if (reply is not null)
            {
                if (!kept && attempt.TryReport()) attempt.Health.Succeeded();
                if (mayTest && call.Model.Deployments.Count > 1) attempt.Health.Took(call.Time.GetElapsedTime(attempt.StartedAt), kept);
                return reply;
            }

            // 6.
            var failure = failed!;
            search.AddFailed(failure);
            RoutingLog.AttemptFailed(logger, call.RequestId, attempt.Number, deployment.Name, failure.Error.Definition.Name, failure.Status);
            if (failure.Class == FailureClass.GiveBack)
            {
                if (failure.Error.IsContentRejection && call.Model.FailsOverContentRejections) return null;
                search.IsTooLarge = failure.Error.Code == ErrorCode.ContextLengthExceeded;
                return new GatewayReply.Refused(failure.Error);
            }
            if (attempt.HasOtherKey && ++otherKeys < deployment.KeyIds.Length)
            {
                // At once, and not counted as a retry: at most one attempt for each key.
                retries--;
                continue;
            }
            if (health.UntilTest is { } untilTest)
            {
                search.AddTest(untilTest);
                return null;
            }
            if (failure.Class != FailureClass.Retry || retries >= retry.MaxRetries) return null;
            // A limit of one key is no reason to wait if another key has room.
            var asked = failure.Status == 429 && scheduler.HasOtherKey(call, deployment) ? null : failure.Error.RetryAfter;
            if (RetryDelay.Of(retries + 1, asked, retry, chance.Next()) is not { } delay) return null;
            // Calls whose request is repeated for all of them come back at the same time.
            if (attempt.SharedRequest is { } request && !SharedRequest.MayBeOfContent(attempt)) delay = request.DelayOf(delay);
            if (call.Deadline is { } deadline && call.Time.GetUtcNow() + delay >= deadline) return null;
            if (!health.Retries.TryRetry(attempt, retry.Budget)) return null;
            await Task.Delay(delay, call.Time, cancellationToken);
        }
    }

    /// <summary>Returns a slot that cannot be used: the deployment was closed after it was granted.</summary>
    /// <param name="call">The call.</param>
    /// <param name="deployment">The deployment.</param>
    /// <param name="search">What the call found so far.</param>
    /// <param name="retries">Attempts that it had there.</param>
    /// <param name="waitsAgain">Whether it waits for the deployment again, if it waits for others too.</param>
    private void LoseSlot(GatewayCall call, Deployment deployment, DeploymentSearch search, int retries, bool waitsAgain)
    {
        scheduler.LoseSlot(call, deployment);
        if (waitsAgain && search.Full is { Count: > 0 }) search.AddFull(deployment, retries);
    }

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
            if (hasSlot && !isExtended) scheduler.GiveBack(call, deployment);
        }
    }
}
