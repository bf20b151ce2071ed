using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Limits;
using Fairlead.Policies;
using Fairlead.Providers.Http;
using Fairlead.Scheduling;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Pipeline;

/// <summary>
/// Ends every call, on every exit path: 1. set usage and cost, 2. settle the reservation and the share of the queue, 3. put the audit record and the ledger entries on
/// the spool. Only then may the last byte be sent. Calling it again changes nothing. Thread-safe.
/// </summary>
internal sealed class CallEnder(
    ITokenLedger ledger, ISpool spool, TokenCounter counter, AttemptCharge charge, Scheduler scheduler, PolicyMetrics policies,
    ILogger<CallEnder> logger)
{
    private const int CalibrateEvery = 16;

    private int _calls;

    /// <param name="call">The call; its <see cref="GatewayCall.Ending"/> is set on return.</param>
    /// <param name="outcome">How it ended.</param>
    /// <param name="error">Why it failed, or null.</param>
    /// <param name="status">The HTTP status that the client got or will get.</param>
    public ValueTask EndAsync(GatewayCall call, Outcome outcome, GatewayError? error, int status)
    {
        if (call.Ending is not null || call.HandedOver) return ValueTask.CompletedTask;
        // Another attempt might have succeeded, but no budget paid for it.
        if (call.StoppedByBudget && outcome is (Outcome.Failed or Outcome.ProviderLost)) outcome = Outcome.Budget;

        // 1.
        CallEnding ending;
        try
        {
            call.Share?.Leave(call);
            ending = Conclude(call, outcome, error);
        }
        catch (Exception exception)
        {
            // After an error while counting, the money must still be released and the call recorded.
            CallLog.EndingFailed(logger, call.RequestId, exception);
            var cost = new Cost(call.Attempts.Sum(attempt => attempt.Cost.Usd), Basis.Estimated);
            ending = new CallEnding(outcome, call.Answering?.Usage ?? default, cost) { Error = error, Used = SumOf(call) };
        }
        call.Ending = ending;
        call.Cache?.Recorder?.Ended(call);
        if (call.Policy is { } policy) policies.Ended(policy);

        // 2.
        if (call.Reservation is { } reservation) ledger.Settle(reservation, ending.Used, ending.Cost);
        scheduler.Settle(call);

        // 3.
        return RecordAsync(call, status);
    }

    private CallEnding Conclude(GatewayCall call, Outcome outcome, GatewayError? error)
    {
        var usage = default(Usage);
        var basis = Basis.Measured;
        decimal usd = 0;
        foreach (var attempt in call.Attempts)
        {
            FinishAttempt(call, attempt, outcome, error);
            usd += attempt.Cost.Usd;
            if (attempt.Cost.Usd > 0 && attempt.Cost.Basis == Basis.Estimated) basis = Basis.Estimated;
            WarnOfReason(call, attempt);
        }
        // Another call made the attempt.
        if (call.IsCoalesced && call.Answering is { } shared) WarnOfReason(call, shared);
        if (call.Answering is { } answering)
        {
            usage = call.Rescue is { Continued: { } before } ? Joined(before.Usage, answering.Usage) : answering.Usage;
            if (usage.Basis == Basis.Estimated) basis = Basis.Estimated;
            if (answering.Meter.SkippedEvents is > 0 and var skipped)
            {
                call.Warn(
                    "malformed_events_skipped",
                    $"{skipped} malformed event(s) of the model's provider were left out of the response.");
            }
            if (call.Operation == Operation.Chat && outcome is Outcome.Complete or Outcome.ToolCalls or Outcome.Length
                && answering.Meter.FinishedChoices is > 0 and var choices && choices < call.Facts.ExpectedChoices)
            {
                call.Warn(
                    "fewer_choices",
                    $"The model's provider returned {choices} of the {call.Facts.ExpectedChoices} choices that were requested.");
            }
            if (ReasonFor(answering.UsageDoubt) is { } why)
            {
                call.Warn("usage_estimated", $"The provider's usage {why}. The tokens of this response are estimated.");
            }
            // The time after the first token is the model's; the time to write the response is not.
            if (call.Timings.Milliseconds(Phase.FirstToken) == 0) call.Timings.Set(Phase.FirstToken, answering.StartedAt);
            call.Timings.SetTicks(Phase.Connect, answering.ConnectTicks);
            call.Timings.Set(Phase.Generate, answering.StartedAt);
        }
        else
        {
            // No attempt succeeded, but their tokens were used.
            usage = SumOf(call);
        }
        call.Timings.Set(Phase.Total, call.Timings.StartedAt);
        Calibrate(call);

        return new CallEnding(outcome, usage, new Cost(usd, basis)) { Error = error, Used = SumOf(call) };
    }

    private static void WarnOfReason(GatewayCall call, Attempt attempt)
    {
        if (attempt.Meter.FailedReason is not { } reason) return;
        call.Warn("provider_finish_reason", UpstreamText.CleanCode(reason) is var name and not "no code"
            ? $"The model's provider ended its response with the reason '{name}'. The response is not complete."
            : "The model's provider ended its response with a reason that is not known. The response is not complete.");
    }

    /// <summary>The client has the output of both, and sent its input once.</summary>
    private static Usage Joined(in Usage before, in Usage after) => before with
    {
        OutputTokens = before.OutputTokens + after.OutputTokens,
        ReasoningTokens = before.ReasoningTokens + after.ReasoningTokens,
        Basis = Basis.Estimated,
    };

    private static Usage SumOf(GatewayCall call)
    {
        if (call.Attempts.Count == 1) return call.Attempts[0].Usage;
        var used = default(Usage);
        foreach (var attempt in call.Attempts) used += attempt.Usage;
        return used;
    }

    private async ValueTask RecordAsync(GatewayCall call, int status)
    {
        try
        {
            await spool.CallEndedAsync(call, status);
        }
        catch (Exception exception)
        {
            // The response exists and is paid for. Withholding it would not restore the record.
            CallLog.RecordLost(logger, call.RequestId, exception);
        }
    }

    private void FinishAttempt(GatewayCall call, Attempt attempt, Outcome outcome, GatewayError? error)
    {
        if (attempt.Outcome is null)
        {
            attempt.Outcome = outcome.ToWire();
            attempt.Error = error;
            attempt.Duration = call.Time.GetElapsedTime(attempt.StartedAt);
        }
        charge.Fix(call, attempt);
    }

    /// <summary>
    /// Tokens of models without a public vocabulary are estimated, and the estimate is corrected with what their providers report. Counting
    /// costs more than most calls, so only one in <see cref="CalibrateEvery"/> is used.
    /// </summary>
    private void Calibrate(GatewayCall call)
    {
        // What was generated earlier was counted then.
        if (call.IsCached) return;
        // A call that was refused early has no model.
        if (call.Answering is not { Usage: { Basis: Basis.Measured, InputTokens: > 0 } usage } answering) return;
        if (call.Model.Tokenizer != TokenizerFamily.Estimated) return;
        // Its input is more than that of the call.
        if (answering.ExtraInput > 0) return;
        if (Interlocked.Increment(ref _calls) % CalibrateEvery != 0) return;
        // A request that only its own dialect can express cannot be counted.
        if (counter.TryCountInput(call, out var counted)) counter.Observe(call.Model, counted.Tokens, usage.InputTokens);
        counter.ObserveOutput(answering.Meter, usage, call.Model);
    }

    // No warning for a provider that reports nothing, or was truncated before it could: the basis shows that.
    private static string? ReasonFor(UsageDoubt doubt) => doubt switch
    {
        UsageDoubt.Incomplete => "lacks a count of input or output",
        UsageDoubt.Unreadable => "has a count that is not a whole number of tokens",
        UsageDoubt.TooFew => "has too few tokens for the text of the request or response",
        UsageDoubt.TooMany => "has more tokens than the model can hold",
        UsageDoubt.Contradiction => "does not add up to its own total",
        _ => null,
    };
}
