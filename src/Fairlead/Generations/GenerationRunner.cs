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
/// Executes a call that does not depend on a client: 1. load stored data that the request refers to; 2. choose a stream or a whole
/// response; 3. run the pipeline; 4. read the stream to its end; 5. end the call; 6. write the response and its details. A conversation is
/// streamed from its provider, so that clients see its progress, if the canonical form expresses all of it. Thread-safe.
/// </summary>
internal sealed class GenerationRunner(
    GatewayPipeline pipeline,
    CallEnder ender,
    DrainState drain,
    IConfigurationSource configuration,
    TimeProvider time,
    GatewayTelemetry telemetry,
    ILogger<GenerationRunner> logger)
{
    /// <summary>Never throws. A bug ends the call with <c>internal_error</c>.</summary>
    public async Task<RunResult> RunAsync(GenerationRun run)
    {
        var call = run.Call;
        drain.Enter();
        telemetry.CallStarted(call);
        RunResult? result = null;
        try
        {
            result = await ExecuteAsync(run);
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
            var bug = new GatewayError(
                ErrorCode.InternalError, "An internal error occurred. The operator can find it by the request id.");
            result = await FailAsync(run, Outcome.Failed, bug);
        }
        finally
        {
            var status = result?.Status ?? StatusCodes.Status500InternalServerError;
            if (call.HandedOver)
            {
                telemetry.CallPostponed(call);
            }
            else
            {
                telemetry.CallEnded(call, status);
                CallLog.Ended(
                    logger, call.RequestId, call.Endpoint, call.Facts.Model, call.Ending?.Outcome.ToWire() ?? "failed", status,
                    call.Timings.Elapsed.TotalMilliseconds);
            }
            drain.Leave();
        }
        return result;
    }

    private async Task<RunResult> ExecuteAsync(GenerationRun run)
    {
        // 1.
        var call = run.Call;
        var unresolved = await call.Dialect.Requests.ResolveAsync(call, new RequestBounds(), call.Cancellation.Token);
        if (unresolved is not null) return await FailAsync(run, Outcome.Failed, unresolved);

        // 2.
        call.MustTranslate = LosslessTranslation.TryTranslate(call);
        call.Streams = call.MustTranslate || call.Dialect.Native?.Streams?.Collector is not null;

        // 3.
        var reply = await pipeline.InvokeAsync(call, call.Cancellation.Token);
        if (reply is GatewayReply.Refused refused) return await RefusedAsync(run, refused.Error);
        // From here on, whatever fails: a stream holds a slot, and a body memory.
        await using var stream = (reply as GatewayReply.Streaming)?.Events;
        using var native = (reply as GatewayReply.NativeBody)?.Body;

        // 4.
        ModelResponse? answer = null;
        CollectingStreamWriter? written = null;
        run.AddWarnings();
        if (stream is not null)
        {
            written = await ReadAsync(run, stream);
            answer = run.Output.Build();
            var attempt = call.Answering!;
            attempt.Meter.Kept = answer;
            var error = attempt.Error ?? (attempt.Meter.FinishReason is null
                ? new GatewayError(ErrorCode.ProviderError, "The model's provider ended the stream before the response was complete.")
                : null);
            if (error is not null) return await FailAsync(run, Outcome.ProviderLost, error);
            if (written is null) reply = new GatewayReply.Complete(answer);
        }
        else if (reply is GatewayReply.Complete complete)
        {
            answer = complete.Response;
        }

        // 5.
        call.Streams = false;
        var outcome = CallOutcome.Of(call);
        await ender.EndAsync(call, outcome, null, StatusCodes.Status200OK);
        run.AddWarnings();

        // 6.
        if (written is not null)
        {
            await written.PrepareEndAsync();
            return Succeeded(written.ToWhole());
        }
        using var output = new PooledBuffer((native?.Length ?? 1024) + 2048, call.Memory, neverRefused: true);
        await call.Dialect.Responses.PrepareAsync(call, reply);
        call.Dialect.Responses.Write(call, reply, output);
        return Succeeded(output.WrittenSpan.ToArray());

        RunResult Succeeded(byte[] body) =>
            new(outcome, StatusCodes.Status200OK, body, GenerationDetails.Of(call, answer, null), null, CancellationReason.None);
    }

    /// <summary>
    /// Ends a run that was refused. A postponed one that has sent nothing does not end if another run can follow: that one continues with its
    /// reservation.
    /// </summary>
    private async Task<RunResult> RefusedAsync(GenerationRun run, GatewayError error)
    {
        var call = run.Call;
        if (run.Postponement is null || call.Attempts.Count > 0) return await FailAsync(run, Outcome.Failed, error);
        call.HandedOver = true;
        return new RunResult(Outcome.Failed, StatusCodes.Status202Accepted, [], [], error, CancellationReason.None);
    }

    /// <summary>Reads to the end. The writer that is returned assembles events in the client's dialect; null if there are none.</summary>
    private async Task<CollectingStreamWriter?> ReadAsync(GenerationRun run, IEventSource events)
    {
        var settings = BatchedEvents.SettingsOf(run.Call, configuration.Current.Stream);
        await using var batched = settings.Tokens > 1
            ? new BatchedEvents(events, run.Call.Dialect, settings, time, run.Call.Cancellation)
            : null;
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
                // Native events are requested only if the dialect has a collector.
                collector ??= run.Call.Dialect.Native!.Streams!.Collector!;
                written ??= collector.CreateWriter(run.Call);
                var native = batch.DataOf(item);
                run.Add(new NativeEvent(item.Kind, native.ToArray()), collector.Translate(native, item.Kind));
            }
            run.AddWarnings();
            written?.Write(batch, scratch);
            scratch.Clear();
        }
        return written;
    }

    private async Task<RunResult> FailAsync(
        GenerationRun run, Outcome outcome, GatewayError error, CancellationReason stopped = CancellationReason.None)
    {
        var call = run.Call;
        call.Streams = false;
        error = call.Dialect.Requests.WithClientParameter(call, error);
        run.AddWarnings();
        // Output from before the failure was shown, and is charged.
        var partial = run.Output.Build();
        if (call.Answering is { } broken) broken.Meter.Kept = partial;
        var status = ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape);
        await ender.EndAsync(call, outcome, error, status);
        using var body = new PooledBuffer();
        ErrorBodyWriter.WriteBody(body, error, call.Dialect.ErrorShape, call.RequestId, call.Site);
        var details = GenerationDetails.Of(call, partial.Choices.Count > 0 ? partial : null, error);
        return new RunResult(call.Ending!.Outcome, status, body.WrittenSpan.ToArray(), details, error, stopped);
    }
}
