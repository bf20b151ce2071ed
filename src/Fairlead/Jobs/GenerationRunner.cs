using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Jobs;

/// <summary>
/// Walks a call without a client through the pipeline to its end. A conversation is streamed from its provider, so that its progress can
/// be seen, as long as the inner language says all of it; anything else is asked for whole. Thread-safe.
/// </summary>
internal sealed class GenerationRunner(GatewayPipeline pipeline, CallEnder ender, DrainState drain, GatewayTelemetry telemetry, ILogger<GenerationRunner> logger)
{
    /// <summary>Never throws; a bug is an <c>internal_error</c>.</summary>
    public async Task<RunResult> RunAsync(GenerationRun run)
    {
        var call = run.Call;
        drain.Enter();
        telemetry.CallStarted(call);
        RunResult? result = null;
        try
        {
            result = await WalkAsync(run);
        }
        catch (OperationCanceledException) when (call.Cancellation.Reason != CancellationReason.None)
        {
            var reason = call.Cancellation.Reason;
            var (outcome, error) = CallOutcome.Of(reason);
            result = await FailAsync(call, outcome, error, reason);
        }
        catch (GatewayErrorException refused)
        {
            result = await FailAsync(call, Outcome.Failed, refused.Error);
        }
        catch (Exception exception)
        {
            CallLog.Unexpected(logger, call.RequestId, exception);
            result = await FailAsync(call, Outcome.Failed, new GatewayError(ErrorCode.InternalError, "Something went wrong inside the gateway; the request id leads the operator to it."));
        }
        finally
        {
            var status = result?.Status ?? StatusCodes.Status500InternalServerError;
            telemetry.CallEnded(call, status);
            CallLog.Ended(logger, call.RequestId, call.Endpoint, call.Facts.Model, call.Ending?.Outcome.ToWire() ?? "failed", status, call.Timings.Elapsed.TotalMilliseconds);
            drain.Leave();
        }
        return result;
    }

    private async Task<RunResult> WalkAsync(GenerationRun run)
    {
        var call = run.Call;
        if (await call.Dialect.ResolveAsync(call, new Configuration.RequestBounds(), call.Cancellation.Token) is { } unresolved) return await FailAsync(call, Outcome.Failed, unresolved);
        call.InInnerLanguage = SaysAll(call);
        call.Facts.Stream = call.InInnerLanguage;
        var reply = await pipeline.InvokeAsync(call, call.Cancellation.Token);
        if (reply is GatewayReply.Refused refused) return await FailAsync(call, Outcome.Failed, refused.Error);

        Answer? answer = null;
        if (reply is GatewayReply.Streaming streaming)
        {
            answer = await ReadAsync(run, streaming.Events);
            var attempt = call.Answering!;
            var error = attempt.Error ?? (attempt.Meter.FinishReason is null
                ? new GatewayError(ErrorCode.ProviderError, "The model's provider ended the stream before the answer was complete.")
                : null);
            if (error is not null) return await FailAsync(call, Outcome.ProviderLost, error);
            reply = new GatewayReply.Complete(answer);
        }
        else if (reply is GatewayReply.Complete complete)
        {
            answer = complete.Answer;
        }

        using var native = (reply as GatewayReply.NativeBody)?.Body;
        call.Facts.Stream = false;
        var outcome = call.Answering?.Meter.FinishReason is { } reason ? CallOutcome.Of(reason) : Outcome.Complete;
        await ender.EndAsync(call, outcome, null, StatusCodes.Status200OK);
        using var output = new PooledBuffer((native?.Length ?? 1024) + 2048);
        await call.Dialect.PrepareReplyAsync(call, reply);
        call.Dialect.WriteReply(call, reply, output);
        return new RunResult(outcome, StatusCodes.Status200OK, output.WrittenSpan.ToArray(), GenerationDetails.Of(call, answer, null), null, CancellationReason.None);
    }

    private static async Task<Answer> ReadAsync(GenerationRun run, IEventSource events)
    {
        await using var owned = events;
        using var batch = new EventBatch();
        var builder = new AnswerBuilder();
        while (await events.ReadAsync(batch, run.Call.Cancellation.Token))
        {
            foreach (var item in batch.Items)
            {
                if (item.Event is not { } generationEvent) continue;
                builder.Add(generationEvent);
                if (generationEvent is TextDelta { Choice: 0 } text) run.Add(text.Text);
            }
        }
        return builder.Build();
    }

    private async Task<RunResult> FailAsync(GatewayCall call, Outcome outcome, GatewayError error, CancellationReason stopped = CancellationReason.None)
    {
        call.Facts.Stream = false;
        var status = ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape);
        await ender.EndAsync(call, outcome, error, status);
        using var body = new PooledBuffer();
        ErrorBodyWriter.WriteBody(body, error, call.Dialect.ErrorShape, call.RequestId, call.Site);
        return new RunResult(outcome, status, body.WrittenSpan.ToArray(), GenerationDetails.Of(call, null, error), error, stopped);
    }

    /// <summary>Whether nothing of the request is lost in the inner language; tried on a call that nobody sees.</summary>
    private static bool SaysAll(GatewayCall call)
    {
        if (!call.Dialect.IsConversation) return false;
        var trial = new GatewayCall(call.RequestId, call.GenerationId, call.Dialect, call.Caller, call.Time) { Body = call.Body, Facts = call.Facts, AnthropicVersion = call.AnthropicVersion, AnthropicBeta = call.AnthropicBeta };
        try
        {
            // Fields that only its own server knows may bring answers that only it can give.
            return trial.Conversation.Extra is null or { Count: 0 } && trial.Warnings.Count == 0;
        }
        catch (GatewayErrorException)
        {
            return false;
        }
    }
}
