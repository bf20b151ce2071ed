using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// Walks a call without a client through the pipeline to its end. A conversation is streamed from its provider, so that its progress can
/// be seen, as long as the inner language says all of it; anything else is asked for whole. Thread-safe.
/// </summary>
internal sealed class GenerationRunner(GatewayPipeline pipeline, CallEnder ender, DrainState drain, Configuration.IConfigurationSource configuration, TimeProvider time, GatewayTelemetry telemetry, ILogger<GenerationRunner> logger)
{
    /// <summary>Never throws; a bug is an <c>internal_error</c>.</summary>
    public async Task<RunResult> RunAsync(GenerationRun run)
    {
        var call = run.Call;
        drain.Enter();
        call.CanWaitForSlot = true;
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
            result = await FailAsync(run, outcome, error, reason);
        }
        catch (GatewayErrorException refused)
        {
            result = await FailAsync(run, Outcome.Failed, refused.Error);
        }
        catch (Exception exception)
        {
            CallLog.Unexpected(logger, call.RequestId, exception);
            result = await FailAsync(run, Outcome.Failed, new GatewayError(ErrorCode.InternalError, "Something went wrong inside the gateway; the request id leads the operator to it."));
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
        var unresolved = await call.Dialect.Requests.ResolveAsync(call, new RequestBounds(), call.Cancellation.Token);
        if (unresolved is not null) return await FailAsync(run, Outcome.Failed, unresolved);
        // One that is read as a stream is asked for as one, in whichever language it comes.
        call.InInnerLanguage = TranslatesLosslessly(call);
        call.Streams = call.InInnerLanguage || call.Dialect.Native?.Streams?.Collector is not null;
        var reply = await pipeline.InvokeAsync(call, call.Cancellation.Token);
        if (reply is GatewayReply.Refused refused) return await FailAsync(run, Outcome.Failed, refused.Error);

        Answer? answer = null;
        CollectingStreamWriter? written = null;
        run.TellWarnings();
        if (reply is GatewayReply.Streaming streaming)
        {
            written = await ReadAsync(run, streaming.Events);
            answer = run.Answer.Build();
            var attempt = call.Answering!;
            attempt.Meter.Kept = answer;
            var error = attempt.Error ?? (attempt.Meter.FinishReason is null
                ? new GatewayError(ErrorCode.ProviderError, "The model's provider ended the stream before the answer was complete.")
                : null);
            if (error is not null) return await FailAsync(run, Outcome.ProviderLost, error);
            if (written is null) reply = new GatewayReply.Complete(answer);
        }
        else if (reply is GatewayReply.Complete complete)
        {
            answer = complete.Answer;
        }

        using var native = (reply as GatewayReply.NativeBody)?.Body;
        call.Streams = false;
        var outcome = CallOutcome.Of(call);
        await ender.EndAsync(call, outcome, null, StatusCodes.Status200OK);
        run.TellWarnings();
        if (written is not null)
        {
            await written.PrepareEndAsync();
            return new RunResult(outcome, StatusCodes.Status200OK, written.ToWhole(), GenerationDetails.Of(call, answer, null), null, CancellationReason.None);
        }
        using var output = new PooledBuffer((native?.Length ?? 1024) + 2048, call.Memory, neverRefused: true);
        await call.Dialect.Responses.PrepareAsync(call, reply);
        call.Dialect.Responses.Write(call, reply, output);
        return new RunResult(outcome, StatusCodes.Status200OK, output.WrittenSpan.ToArray(), GenerationDetails.Of(call, answer, null), null, CancellationReason.None);
    }

    /// <summary>Reads to the end. What a provider says in the client's own dialect is put together by the writer that is returned.</summary>
    private async Task<CollectingStreamWriter?> ReadAsync(GenerationRun run, IEventSource events)
    {
        await using var owned = events;
        var settings = BatchedEvents.SettingsOf(run.Call, configuration.Current.Stream);
        await using var batched = settings.Tokens > 1 ? new BatchedEvents(events, run.Call.Dialect, settings, time, run.Call.Cancellation) : null;
        var source = (IEventSource?)batched ?? events;
        using var batch = new EventBatch();
        using var scratch = new PooledBuffer();
        INativeStreamCollector? collector = null;
        CollectingStreamWriter? written = null;
        while (await source.ReadAsync(batch, run.Call.Cancellation.Token))
        {
            foreach (var item in batch.Items)
            {
                if (item.Event is { } made)
                {
                    run.Add(made);
                    continue;
                }
                // Only asked for where the dialect can collect it.
                collector ??= run.Call.Dialect.Native!.Streams!.Collector!;
                written ??= collector.CreateWriter(run.Call);
                var native = batch.DataOf(item);
                run.Add(new NativeEvent(item.Kind, native.ToArray()), collector.Translate(native, item.Kind));
            }
            run.TellWarnings();
            written?.Write(batch, scratch);
            scratch.Clear();
        }
        return written;
    }

    private async Task<RunResult> FailAsync(GenerationRun run, Outcome outcome, GatewayError error, CancellationReason stopped = CancellationReason.None)
    {
        var call = run.Call;
        call.Streams = false;
        error = call.Dialect.Requests.WithClientParameter(call, error);
        run.TellWarnings();
        // What was made before it broke was shown, and is charged.
        var partial = run.Answer.Build();
        if (call.Answering is { } broken) broken.Meter.Kept = partial;
        var status = ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape);
        await ender.EndAsync(call, outcome, error, status);
        using var body = new PooledBuffer();
        ErrorBodyWriter.WriteBody(body, error, call.Dialect.ErrorShape, call.RequestId, call.Site);
        return new RunResult(outcome, status, body.WrittenSpan.ToArray(), GenerationDetails.Of(call, partial.Choices.Count > 0 ? partial : null, error), error, stopped);
    }

    /// <summary>Whether nothing of the request is lost in the inner language; tried on a call that nobody sees.</summary>
    private static bool TranslatesLosslessly(GatewayCall call)
    {
        if (call.Dialect.Conversations is not { WarnsOfEveryLoss: true }) return false;
        var trial = new GatewayCall(call.RequestId, call.GenerationId, call.Dialect, call.Caller, call.Time) { Memory = call.Memory, Body = call.Body, Facts = call.Facts, AnthropicVersion = call.AnthropicVersion, AnthropicBeta = call.AnthropicBeta };
        try
        {
            // Fields that only its own server knows may bring answers that only it can give.
            if (trial.Conversation.Extra is null or { Count: 0 } && trial.Warnings.Count == 0)
            {
                // Read once: of a large request it is large.
                call.Conversation = trial.Conversation;
                return true;
            }
            call.Body.Uncount(call.ConversationBytes);
            return false;
        }
        catch (GatewayErrorException refused) when (refused is not Memory.MemoryExhaustedException)
        {
            return false;
        }
    }
}
