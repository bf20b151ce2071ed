using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers.Http;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Microsoft.Extensions.Logging;

namespace Fairlead.Rescue;

/// <summary>
/// Starts another run of a call whose stream was lost, and notes how it went. Each run is an attempt of the call: it reserves, is charged
/// and is recorded like any other. Thread-safe.
/// </summary>
internal sealed class RescueStarter(AttemptCharge charge, ILogger<RescueStarter> logger)
{
    /// <summary>Maximum rescues of one call.</summary>
    public const int MaxRescues = 2;

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
        // An error that no other run can avoid is no loss of the provider.
        if (lost.Error is not { } error || !MayPass(error)) return null;
        // Nothing was tried: the stream ends as it would without rescue.
        if (call.Rescue!.Count == 0 && !call.Rescue.HasOther(call, lost)) return null;
        if (WhyNot(call, lost, sent) is { } reason)
        {
            GiveUp(call, reason);
            return null;
        }

        RescueLog.Started(logger, call.RequestId, lost.Deployment.Name, error.Definition.Name);
        Conclude(call, lost, Outcome.ProviderLost);
        call.Rescue.Begin(call, lost);
        if (await PrefillAsync(call, lost, sent, next, cancellationToken) is { } continued) return new RescueRun(continued, true);
        if (!sent.IsComparable || !call.Rescue.HasCandidates(call))
        {
            call.Answering = lost;
            GiveUp(call, sent.IsComparable ? "no other deployment may continue it" : Incomparable);
            return null;
        }
        var reply = await next(call, cancellationToken);
        if (reply is GatewayReply.Streaming streaming) return new RescueRun(streaming.Events, false);
        call.Answering = lost;
        GiveUp(call, reply is GatewayReply.Refused { Error: var refusal }
            ? call.StoppedByBudget ? "the budget does not allow another attempt" : $"no other attempt responded ({refusal.Definition.Name})"
            : "the other attempt returned no stream");
        return null;
    }

    /// <summary>Has a model continue the text. Null when no deployment takes it, or none responded.</summary>
    private async ValueTask<IEventSource?> PrefillAsync(GatewayCall call, Attempt lost, OutputDigest sent, GatewayStep next,
        CancellationToken cancellationToken)
    {
        var scope = call.Rescue!;
        if (sent.Kept?.Text is not { } text || !PrefillRules.MayTranslate(call, scope.IsNative)) return null;
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
        if (PrefillRules.Make(asked, text, lost.Usage.OutputTokens) is not { } made) return null;
        scope.UsePrefill(call, deployment => PrefillRules.Accepts(call, deployment));
        if (!scope.HasCandidates(call))
        {
            scope.UsePrefill(call, null);
            return null;
        }
        call.Conversation = made;
        var reply = await next(call, cancellationToken);
        call.Conversation = asked;
        if (reply is GatewayReply.Streaming streaming)
        {
            scope.Continued = lost;
            call.Answering!.Meter.Digest!.Exclude();
            RescueLog.Continued(logger, call.RequestId, call.Answering.Deployment.Name);
            call.Warn(ContinuedCode, "The provider was lost in the middle of the stream. Another attempt got the text that had been sent "
                + "as the start of its answer, and continued it.");
            return streaming.Events;
        }
        scope.UsePrefill(call, null);
        return null;
    }

    /// <summary>The run has reproduced what was sent, and goes on.</summary>
    public void Continued(GatewayCall call, long length)
    {
        RescueLog.Continued(logger, call.RequestId, call.Answering!.Deployment.Name);
        call.Warn(ContinuedCode, string.Create(System.Globalization.CultureInfo.InvariantCulture,
            $"The provider was lost in the middle of the stream. Another attempt reproduced the {length} characters that had been sent, ")
            + "and continued.");
    }

    /// <summary>The run is not used: the call ends as the lost attempt did.</summary>
    public void Discard(GatewayCall call, Attempt run, Attempt lost, string reason)
    {
        if (run.Error is null) Conclude(call, run, Outcome.Cancelled);
        else Conclude(call, run, Outcome.ProviderLost);
        call.Answering = lost;
        GiveUp(call, reason);
    }

    /// <summary>
    /// Fixes what the attempt costs. The start record of the next attempt carries it: a kill during that attempt must not lose this one.
    /// </summary>
    private void Conclude(GatewayCall call, Attempt attempt, Outcome outcome)
    {
        attempt.Outcome = outcome.ToWire();
        attempt.Duration = call.Time.GetElapsedTime(attempt.StartedAt);
        charge.Fix(call, attempt);
        // Its timer would end the wait for a slot. The next attempt starts its own.
        call.Cancellation.Arm(Timeout.InfiniteTimeSpan);
    }

    private void GiveUp(GatewayCall call, string reason)
    {
        RescueLog.GivenUp(logger, call.RequestId, reason);
        call.Warn(FailedCode, $"The stream of the provider could not be continued: {reason}.");
    }

    private static bool MayPass(GatewayError error) =>
        !error.IsContentRejection && UpstreamErrors.ClassOf(error) != FailureClass.GiveBack;

    private static string? WhyNot(GatewayCall call, Attempt lost, OutputDigest sent)
    {
        if (call.Cancellation.Reason != CancellationReason.None) return "the call was stopped";
        if (call.Rescue!.Count >= MaxRescues) return $"it was continued {MaxRescues} times already";
        if (!sent.IsComparable && sent.Kept?.Text is null) return Incomparable;
        return call.Deadline is { } deadline && call.Time.GetUtcNow() + TimeToCatchUp(call, lost, sent) >= deadline
            ? "another run could not reach the same point before the deadline"
            : null;
    }

    /// <summary>
    /// Another run needs about as long as the lost one did, without the silence at its end. A model that continues the text needs only the
    /// time to its first token.
    /// </summary>
    private static TimeSpan TimeToCatchUp(GatewayCall call, Attempt lost, OutputDigest sent)
    {
        if (sent.Kept?.Text is not null) return call.Time.GetElapsedTime(lost.StartedAt, lost.FirstTokenAt);
        var elapsed = call.Time.GetElapsedTime(lost.StartedAt);
        var silence = lost.Error?.Code == ErrorCode.ProviderTimeout ? lost.Deployment.Timeouts.StreamIdle : TimeSpan.Zero;
        return elapsed > silence ? elapsed - silence : TimeSpan.Zero;
    }
}
