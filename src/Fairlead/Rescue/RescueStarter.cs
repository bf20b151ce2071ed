using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Routing;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Microsoft.Extensions.Logging;

namespace Fairlead.Rescue;

/// <summary>
/// Starts another run of a call whose stream was lost, and notes how it went. Each run is an attempt of the call: it reserves, is charged
/// and is recorded like any other. Thread-safe.
/// </summary>
internal sealed class RescueStarter(
    AttemptCharge charge, DeploymentSelector selector, RescueMetrics metrics, ILogger<RescueStarter> logger)
{
    /// <summary>Maximum rescues of one call.</summary>
    public const int MaxRescues = 2;

    /// <summary>Characters of what was sent with which a continuation must not start.</summary>
    private const int StartLength = 16;

    private const string Incomparable = "a part of what was sent cannot be compared with another run";

    /// <summary>Code of the warning that the stream was continued by another run.</summary>
    public const string ContinuedCode = "stream_rescued";

    /// <summary>Code of the warning that it could not be continued.</summary>
    public const string FailedCode = "rescue_failed";

    /// <summary>
    /// Runs the stages that follow again. Null when the stream cannot be continued; the call then ends as the lost attempt did.
    /// </summary>
    /// <param name="call">The call.</param>
    /// <param name="lost">The attempt whose stream broke.</param>
    /// <param name="sent">What the client has.</param>
    /// <param name="next">The stages that follow.</param>
    /// <param name="cancellationToken">Stops the call.</param>
    public async ValueTask<RescueRun?> StartAsync(GatewayCall call, Attempt lost, OutputDigest sent, GatewayStep next,
        CancellationToken cancellationToken)
    {
        if (lost.Error is not { } error) return null;
        var scope = call.Rescue!;
        // An error that no other run can avoid is no loss of the provider.
        if (!MayPass(error))
        {
            if (scope.Count > 0) Abandon(call, lost, $"another attempt ended with an error that would come again ({error.Definition.Name})");
            return null;
        }
        // Without drained deployments, and those that the request excludes.
        var order = selector.Select(call).Deployments;
        var needed = TimeToCatchUp(call, lost);
        // Nothing was tried: the stream ends as it would without rescue.
        if (scope.Count == 0 && !scope.HasOther(call, lost, order, needed, sent.Kept is { HasText: true } ? AcceptsFor(call) : null)) return null;
        if (WhyNot(call, lost, sent, needed) is { } reason)
        {
            Abandon(call, lost, reason);
            return null;
        }

        RescueLog.Started(logger, call.RequestId, lost.Deployment.Name, error.Definition.Name);
        Conclude(call, lost, Outcome.ProviderLost);
        scope.Begin(call, lost, needed);
        if (await PrefillAsync(call, lost, sent, order, next, cancellationToken) is { } continuing) return continuing;
        if (!sent.IsComparable || scope.Select(call, order).Count == 0)
        {
            call.Answering = lost;
            GiveUp(call, sent.IsComparable ? "no other deployment may continue it" : Incomparable);
            return null;
        }
        var reply = await next(call, cancellationToken);
        if (reply is GatewayReply.Streaming streaming) return new RescueRun(streaming.Events, null);
        call.Answering = lost;
        GiveUp(call, reply is GatewayReply.Refused { Error: var refusal }
            ? call.StoppedByBudget ? "the budget does not allow another attempt"
                // What routing says where it may not try any.
                : refusal.Code == ErrorCode.ModelNotFound ? "no other deployment may be tried now"
                : $"no other attempt responded ({refusal.Definition.Name})"
            : "the other attempt returned no stream");
        return null;
    }

    /// <summary>Has a model continue the text. Null when no deployment takes it, or none responded.</summary>
    private async ValueTask<RescueRun?> PrefillAsync(GatewayCall call, Attempt lost, OutputDigest sent, IReadOnlyList<Deployment> order,
        GatewayStep next, CancellationToken cancellationToken)
    {
        var scope = call.Rescue!;
        if (sent.Kept is not { HasText: true } kept || !PrefillRules.MayTranslate(call, scope.IsNative)) return null;
        ConversationRequest asked;
        try
        {
            asked = call.Conversation;
        }
        catch (GatewayErrorException)
        {
            // A request that can only be forwarded.
            return null;
        }
        charge.CountInput(call);
        scope.UsePrefill(call, AcceptsFor(call), lost.Usage.OutputTokens);
        if (scope.Select(call, order).Count > 0 && kept.Text is { } text
            && PrefillRules.Make(asked, text, lost.Usage.OutputTokens) is { } made)
        {
            var stopped = call.StoppedByBudget;
            GatewayReply reply;
            call.Conversation = made;
            try
            {
                reply = await next(call, cancellationToken);
            }
            finally
            {
                call.Conversation = asked;
            }
            if (reply is GatewayReply.Streaming streaming)
            {
                // Its own digest has no start, so that nothing can be compared with it.
                call.Answering!.Meter.Digest!.Exclude();
                return new RescueRun(streaming.Events, text[..Math.Min(StartLength, text.Length)]);
            }
            // Another run needs less than a continuation.
            call.StoppedByBudget = stopped;
        }
        scope.UsePrefill(call, null);
        return null;
    }

    private static Func<Deployment, bool> AcceptsFor(GatewayCall call) => deployment => PrefillRules.Accepts(call, deployment);

    /// <summary>The run continues the text of the lost attempt.</summary>
    public void ContinuedText(GatewayCall call, Attempt lost)
    {
        call.Rescue!.Continued = lost;
        metrics.Continued(byText: true);
        RescueLog.Continued(logger, call.RequestId, call.Answering!.Deployment.Name);
        call.Warn(ContinuedCode, "The provider was lost in the middle of the stream. Another attempt got the text that had been sent "
            + "as the start of its answer, and continued it.");
    }

    /// <summary>The run that was to continue the text started again. Another one, without the text, may follow.</summary>
    public void Dismiss(GatewayCall call, Attempt run)
    {
        RescueLog.StartedAgain(logger, call.RequestId, run.Deployment.Name);
        Conclude(call, run, run.Error is null ? Outcome.Cancelled : Outcome.ProviderLost);
    }

    /// <summary>The run has reproduced what was sent, and goes on.</summary>
    public void Continued(GatewayCall call, long length)
    {
        metrics.Continued(byText: false);
        RescueLog.Continued(logger, call.RequestId, call.Answering!.Deployment.Name);
        call.Warn(ContinuedCode, string.Create(System.Globalization.CultureInfo.InvariantCulture,
            $"The provider was lost in the middle of the stream. Another attempt reproduced the {length} characters that had been sent, ")
            + "and continued.");
    }

    /// <summary>The run is not used: the call ends as the lost attempt did.</summary>
    public void Discard(GatewayCall call, Attempt run, Attempt lost, string reason)
    {
        Conclude(call, run, run.Error is null ? Outcome.Cancelled : Outcome.ProviderLost);
        call.Answering = lost;
        GiveUp(call, reason);
    }

    /// <summary>
    /// Fixes what the attempt costs. The start record of the next attempt carries it: a kill during that attempt must not lose this one.
    /// </summary>
    private void Conclude(GatewayCall call, Attempt attempt, Outcome outcome)
    {
        if (attempt.Outcome is null)
        {
            attempt.Outcome = outcome.ToWire();
            attempt.Duration = call.Time.GetElapsedTime(attempt.StartedAt);
            charge.Fix(call, attempt);
        }
        // Its timer would end the wait for a slot. The next attempt starts its own.
        call.Cancellation.Arm(Timeout.InfiniteTimeSpan);
    }

    private void Abandon(GatewayCall call, Attempt lost, string reason)
    {
        // The end of the call would give a later attempt the error of the first one.
        if (call.Rescue!.Count > 0) Conclude(call, lost, Outcome.ProviderLost);
        GiveUp(call, reason);
    }

    private void GiveUp(GatewayCall call, string reason)
    {
        metrics.Failed();
        RescueLog.GivenUp(logger, call.RequestId, reason);
        call.Warn(FailedCode, $"The stream of the provider could not be continued: {reason}.");
    }

    private static bool MayPass(GatewayError error) =>
        !error.IsContentRejection && UpstreamErrors.ClassOf(error) != FailureClass.GiveBack;

    private static string? WhyNot(GatewayCall call, Attempt lost, OutputDigest sent, TimeSpan needed)
    {
        if (call.Cancellation.Reason != CancellationReason.None) return "the call was stopped";
        if (call.Rescue!.Count >= MaxRescues) return $"it was continued {MaxRescues} times already";
        var hasText = sent.Kept is { HasText: true };
        if (!sent.IsComparable && !hasText) return Incomparable;
        // A model that continues the text needs only the time to its first token.
        if (hasText) needed = call.Time.GetElapsedTime(lost.StartedAt, lost.FirstTokenAt);
        return call.Deadline is { } deadline && call.Time.GetUtcNow() + needed >= deadline
            ? "another run could not reach the same point before the deadline"
            : null;
    }

    /// <summary>Another run needs about as long as the lost one did, without the silence at its end.</summary>
    private static TimeSpan TimeToCatchUp(GatewayCall call, Attempt lost)
    {
        var elapsed = call.Time.GetElapsedTime(lost.StartedAt);
        var timeouts = lost.Deployment.Timeouts;
        // A timer may fire a little early.
        if (lost.Error is { IsTotalTimeout: true }) return elapsed > timeouts.Total ? elapsed : timeouts.Total;
        var silence = lost.Error?.Code == ErrorCode.ProviderTimeout ? timeouts.StreamIdle : TimeSpan.Zero;
        return elapsed > silence ? elapsed - silence : TimeSpan.Zero;
    }
}
