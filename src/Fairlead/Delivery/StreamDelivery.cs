using System.Buffers;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations.Events;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// Delivers a generation as server-sent events: 1. run the call and commit 200, 2. return a failure before the commit as an error,
/// 3. replay the response of a repeated request, 4. relay the events, 5. end the call, then the stream.
/// </summary>
/// <remarks>
/// 200 is committed with the first content, or after a wait with a comment; before that a failure has its own status. A dialect with events
/// for the time before content commits when the call is accepted. A committed stream always ends with the dialect's end or error event.
/// </remarks>
internal sealed class StreamDelivery(
    GatewayPipeline pipeline,
    LiveCalls live,
    CallEnder ender,
    IdempotencyKeys keys,
    IdempotencyReplay replay,
    StreamSweep sweep,
    PlaceholderShelf shelf,
    IConfigurationSource configuration,
    TimeProvider time,
    ILogger<StreamDelivery> logger) : IDelivery
{
    public async Task<GatewayError?> DeliverAsync(ClientExchange exchange, GatewayCall call, DeliveryPlan plan)
    {
        var response = exchange.Response;

        // 1.
        live.Start(response, call);
        var options = configuration.Current.Stream;
        await using var stream = new OpenStream(response.Events, call);
        var running = pipeline.InvokeAsync(call, call.Cancellation.Token);
        GatewayReply reply;
        DialectStreamWriter? writer = null;
        try
        {
            if (call.Dialect.Streams is { CommitsAtAcceptance: true })
            {
                var task = running.AsTask();
                await Task.WhenAny(task, call.Accepted);
                if (call.Accepted.IsCompleted) writer = WriterFor(response, call);
                reply = writer is null ? await task : await CommitAtAcceptanceAsync(response, call, stream, writer, task);
            }
            else reply = running.IsCompleted ? await running : await CommitLateAsync(response, call, stream, running.AsTask(), options);
        }
        catch (OperationCanceledException) when (response.HasStarted && IsOurs(call.Cancellation.Reason))
        {
            var (reason, why) = CallOutcome.Of(call.Cancellation.Reason);
            await EndAsync(response, call, stream, writer ?? WriterFor(response, call), reason, why);
            return null;
        }
        catch (Exception exception) when (exception is not OperationCanceledException && response.HasStarted)
        {
            await EndUnexpectedAsync(response, call, stream, writer ?? WriterFor(response, call), exception);
            return null;
        }

        // 2.
        if (reply is GatewayReply.Refused refused)
        {
            if (!response.HasStarted) return refused.Error;
            await EndAsync(response, call, stream, writer ?? WriterFor(response, call), Outcome.Failed, refused.Error);
            return null;
        }

        // 3. From here on, whatever fails: a stream holds a slot.
        await using var events = (reply as GatewayReply.Streaming)?.Events;
        if (await replay.TryWriteAsync(exchange, call, reply)) return null;
        if (events is null)
        {
            throw new InvalidOperationException($"The reply to a streamed call is {reply.GetType().Name}.");
        }

        // 4. and 5.
        await RelayAsync(response, call, stream, writer ?? WriterFor(response, call), events);
        return null;
    }

    private static DialectStreamWriter WriterFor(IClientResponse response, GatewayCall call) =>
        EventWriters.Of(call, response.Events.Format);

    private async Task<GatewayReply> CommitLateAsync(
        IClientResponse response, GatewayCall call, OpenStream stream, Task<GatewayReply> task, StreamConfig options)
    {
        try
        {
            return await task.WaitAsync(options.CommitAfter, time);
        }
        catch (TimeoutException)
        {
            // The reply may have come in the same moment and must not be lost.
            if (task.IsCompleted) return await task;
        }
        try
        {
            await StartAsync(response, call);
            sweep.Add(stream);
            await stream.KeepAliveAsync(TimeSpan.Zero, call.Cancellation.Token);
            return await task;
        }
        catch
        {
            await DiscardAsync(call, task);
            throw;
        }
        finally
        {
            sweep.Remove(stream);
        }
    }

    private async Task<GatewayReply> CommitAtAcceptanceAsync(
        IClientResponse response, GatewayCall call, OpenStream stream, DialectStreamWriter writer, Task<GatewayReply> task)
    {
        try
        {
            await StartAsync(response, call);
            sweep.Add(stream);
            await stream.WriteAsync(static (state, output) => state.WriteStart(output), writer, call.Cancellation.Token);
            return await task;
        }
        catch
        {
            await DiscardAsync(call, task);
            throw;
        }
        finally
        {
            sweep.Remove(stream);
        }
    }

    /// <summary>
    /// Waits for the stages and discards their reply. The call must not end, and its buffers must not be returned, while a stage still uses
    /// them. The reply may have come while the commit failed; it holds a slot.
    /// </summary>
    private static async Task DiscardAsync(GatewayCall call, Task<GatewayReply> task)
    {
        if (!task.IsCompleted) call.Cancellation.Stop();
        await ((Task)task).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!task.IsCompletedSuccessfully) return;
        if (await task is GatewayReply.Streaming streaming) await streaming.Events.DisposeAsync();
    }

    private async Task RelayAsync(
        IClientResponse response, GatewayCall call, OpenStream stream, DialectStreamWriter writer, IEventSource events)
    {
        var settings = BatchedEvents.SettingsOf(call, configuration.Current.Stream);
        await using var batched = settings.Tokens > 1 ? new BatchedEvents(events, call.Dialect, settings, time, call.Cancellation) : null;
        // A client that is too slow is disconnected. The generation continues, and a repeated request gets all of it.
        await using var logged = call.ContinuesWithoutClient
            ? LoggedEvents.Start(
                (IEventSource?)batched ?? events,
                call.Cancellation.Token,
                new EventQueue(budget: call.Memory),
                () => Disconnect(response, call, stream))
            : null;
        var source = logged?.Events ?? (IEventSource?)batched ?? events;
        var token = call.Cancellation.Token;
        using var batch = new EventBatch();

        if (call.Idempotency is not null || call.Facts.Responses is { Stores: true }) shelf.Keep(call);
        if (!response.HasStarted) await StartAsync(response, call);
        sweep.Add(stream);
        (Outcome Outcome, GatewayError? Error) ending;
        var written = 0L;
        try
        {
            while (await source.ReadAsync(batch, token))
            {
                written = stream.Writes;
                await stream.WriteAsync(static (state, output) => state.writer.Write(state.batch, output), (writer, batch), token);
                batch.Clear();
                // A repeated request reads the rest, so it is written too.
                if (!stream.ClientGone || call.Idempotency is not null) continue;
                if (logged is null) throw new OperationCanceledException();
                logged.Events.Abandon();
                await logged.Completion;
                break;
            }
            if (logged is not null) await logged.Completion;
            ending = Judge(call);
        }
        catch (OperationCanceledException) when (IsOurs(call.Cancellation.Reason))
        {
            ending = CallOutcome.Of(call.Cancellation.Reason);
            if (logged is not null) await logged.StopAsync();
            if (batched is not null) await batched.StopAsync();
            // Everything that was generated is charged, so it is sent: the batch in hand, then what is queued, then what is held back.
            if (stream.Writes > written) batch.Clear();
            if (!stream.Torn)
            {
                do
                {
                    if (batch.Items.Count == 0) continue;
                    await stream.WriteAsync(
                        static (state, output) => state.writer.Write(state.batch, output), (writer, batch), response.Aborted);
                    batch.Clear();
                }
                while (logged?.Events.TryRead(batch) == true || batched?.TakeHeld(batch) == true);
            }
        }
        catch (Exception exception) when (exception is not OperationCanceledException && !stream.Torn)
        {
            sweep.Remove(stream);
            if (logged is not null) await logged.StopAsync();
            if (batched is not null) await batched.StopAsync();
            await EndUnexpectedAsync(response, call, stream, writer, exception);
            return;
        }
        finally
        {
            sweep.Remove(stream);
        }
        // 5. The meter is charged next, so no source may write to it any more.
        if (logged is not null) await logged.StopAsync();
        if (batched is not null) await batched.StopAsync();
        await EndAsync(response, call, stream, writer, ending.Outcome, ending.Error);
    }

    private void Disconnect(IClientResponse response, GatewayCall call, OpenStream stream)
    {
        if (stream.ClientGone) return;
        CallLog.ClientTooSlow(logger, call.RequestId);
        stream.GiveUp();
        response.Abort();
    }

    /// <summary>A bug after the stream started: the client gets an error event, as for every other failure.</summary>
    private async Task EndUnexpectedAsync(
        IClientResponse response, GatewayCall call, OpenStream stream, DialectStreamWriter writer, Exception exception)
    {
        CallLog.Unexpected(logger, call.RequestId, exception);
        var error = new GatewayError(
            ErrorCode.InternalError, "An internal error occurred. The operator can find it by the request id.");
        await EndAsync(response, call, stream, writer, Outcome.Failed, error);
    }

    /// <summary>Whether the gateway stopped the call; then the client is still connected and gets an error event.</summary>
    private static bool IsOurs(CancellationReason reason) =>
        reason is CancellationReason.Deadline or CancellationReason.AttemptTimeout or CancellationReason.Shutdown;

    /// <summary>The outcome of a stream that ended. A truncated one never counts as complete.</summary>
    private static (Outcome, GatewayError?) Judge(GatewayCall call)
    {
        var attempt = call.Answering!;
        if (attempt.Error is { } error) return (Outcome.ProviderLost, error);
        return attempt.Meter.FinishReason is not null
            ? (CallOutcome.Of(call), null)
            : (Outcome.ProviderLost, Truncated());
    }

    private static GatewayError Truncated() =>
        new(ErrorCode.ProviderError, "The model's provider ended the stream before the response was complete.");

    private async Task EndAsync(
        IClientResponse response, GatewayCall call, OpenStream stream, DialectStreamWriter writer, Outcome outcome, GatewayError? error)
    {
        // Settled and on the spool first: the last event is sent only when nothing can be lost any more.
        await ender.EndAsync(call, outcome, error, StatusCodes.Status200OK);
        await writer.PrepareEndAsync();
        var broken = error is not null && call.Dialect is { ErrorShape: ErrorShape.OpenAi, Streams.CommitsAtAcceptance: false };
        if (call.Idempotency is null) await stream.WriteAsync(static (state, output) => state.WriteEnd(output), writer, response.Aborted);
        else await EndKeptAsync(response, call, stream, writer, broken);
        if (!broken) return;

        // Clients of these dialects take a clean end for success, so a failed stream ends with an aborted connection.
        await response.AbortAfterFlushAsync();
    }

    // Stored before it is sent: a client that has seen the end and repeats the request must get the same.
    private async Task EndKeptAsync(IClientResponse response, GatewayCall call, OpenStream stream, DialectStreamWriter writer, bool broken)
    {
        var log = call.Idempotency!.Log!;
        using var end = new PooledBuffer();
        writer.WriteEnd(end);
        log.Append(end.WrittenSpan);
        if (log.Overflowed)
        {
            var lost = new GatewayError(ErrorCode.InternalError, "The response was too long to be stored for a repeated request.");
            await keys.ConcludeAsync(call, lost);
        }
        else await keys.CompleteAsync(call, StatusCodes.Status200OK, "text/event-stream; charset=utf-8", log.ToArray(), broken);
        call.Idempotency = null;
        await stream.WriteAsync(static (state, output) => output.Write(state), end.WrittenSpan.ToArray(), response.Aborted);
    }

    private static Task StartAsync(IClientResponse response, GatewayCall call)
    {
        response.Status = StatusCodes.Status200OK;
        response.Headers.ContentType = "text/event-stream; charset=utf-8";
        ReplyHeaders.Write(response.Headers, call);
        response.Headers.CacheControl = "no-cache, no-store";
        // nginx and compatible proxies do not buffer a response with this header.
        response.Headers["X-Accel-Buffering"] = "no";
        return response.StartAsync(call.Cancellation.Token);
    }
}
