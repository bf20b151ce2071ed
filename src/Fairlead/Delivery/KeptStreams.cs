using System.Buffers;
using System.Globalization;
using Fairlead.Access;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Responses;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// Streams stored generations to any number of readers, from any event on: 1. send the headers unless the reader may have every event,
/// 2. send what precedes the first run, 3. send events as they are stored, 4. send the end, 5. stop the keep-alive. A reader that leaves
/// changes nothing for the generation. If the server stops, the connections of its readers are aborted, and they continue at another
/// server. Thread-safe.
/// </summary>
internal sealed class KeptStreams(
    IGenerationStore store,
    GenerationEventStore stored,
    RunningGenerations running,
    GenerationFollowers followers,
    IdempotencyKeys keys,
    StreamSweep sweep,
    DrainState drain,
    MemoryBudget memory,
    PlaceholderShelf shelf,
    ILogger<KeptStreams> logger)
{
    /// <summary>A stream of ordinary events holds less, and is not counted.</summary>
    private const int UncountedBytes = 16 * 1024;

    /// <summary>Copies of what is written: as an object, after the last event that the reader has, and in the output.</summary>
    private const int Copies = 3;

    /// <summary>
    /// Reads the number of the last event that a reader has, from the header with which event streams resume, or from the query. -1 for
    /// none.
    /// </summary>
    public static (long After, GatewayError? Error) AfterOf(EndpointRequest request, string parameter)
    {
        // A client that lost its connection repeats the address that it started with; the header has the last event that it got.
        if (request.Headers.TryGetValue("Last-Event-ID", out var header) && header.ToString() is { Length: > 0 } last)
        {
            return Parse(last) is { } id
                ? (id, null)
                : (-1, GatewayError.Invalid(
                    "Last-Event-ID", "The header 'Last-Event-ID' is the number of an event: a whole number from 0."));
        }
        if (request.Query[parameter].ToString() is not { Length: > 0 } text) return (-1, null);
        return Parse(text) is { } number
            ? (number, null)
            : (-1, GatewayError.Invalid(parameter, $"'{parameter}' is the number of the last event that you have: a whole number from 0."));
    }

    /// <summary>Streams a view of <paramref name="record"/> until the generation has ended or the reader has left.</summary>
    /// <param name="response">Where the stream goes.</param>
    /// <param name="call">The call of the reader. If an idempotency key is bound to it, its response is stored.</param>
    /// <param name="record">The generation.</param>
    /// <param name="view">How it is shown.</param>
    /// <param name="after">The last event that the reader has; -1 for none.</param>
    public async Task RelayAsync(IClientResponse response, GatewayCall call, GenerationRecord record, GenerationView view, long after)
    {
        var kept = call.Idempotency is not null;
        var share = memory.ShareOf(call.Caller.KeyId);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(kept ? CancellationToken.None : response.Aborted, drain.Over);
        await using var stream = new OpenStream(response.Events, call, shelf.Find(record.Id, call.Caller.KeyId));
        await using var events = new KeptEventSource(store, stored, running, followers, share, record);
        var filter = new EventsAfter(after);
        // Only this process can send the end of a generation that runs here, so it stays until its readers have it.
        var isHere = running.Find(record.Id) is not null;
        if (isHere) drain.Enter();
        try
        {
            // 1. A generation that has ended may have no event left for the reader.
            if (!record.IsFinal) await StartAsync(response, record, stop.Token);
            sweep.Add(stream);
            using var batch = new EventBatch();
            using var output = new PooledBuffer(4096, share, UncountedBytes, Copies);

            // 2.
            view.WriteStart(output);
            if (record.StartedAt is null) await PassAsync(response, stream, record, filter, output, stop.Token);
            if (await events.WaitForStartAsync(stop.Token) is { StartedAt: not null } started) view.WriteStarted(started, output);

            // 3.
            do
            {
                if (batch.Items.Count > 0) view.Write(batch, output);
                await PassAsync(response, stream, record, filter, output, stop.Token);
                if (stream.ClientGone && !kept) return;
            }
            while (await events.ReadAsync(batch, stop.Token));

            // 4.
            if (events.Record is not { } ended)
            {
                // The generation was deleted. Without its end, the stream must not look complete.
                if (response.HasStarted)
                {
                    response.Abort();
                    return;
                }
                var gone = new GatewayError(ErrorCode.NotFound, $"The generation '{record.Id}' is no longer stored.");
                await response.WriteErrorAsync(gone, call.Dialect.ErrorShape);
                return;
            }
            view.WriteEnd(ended, output);
            await EndAsync(response, call, stream, record, filter, output, stop.Token);
        }
        catch (OperationCanceledException)
        {
            // The reader left, or this server stops. The stream must not look complete.
            if (!response.Aborted.IsCancellationRequested) response.Abort();
        }
        catch (MemoryExhaustedException exhausted) when (response.HasStarted)
        {
            // A stored response must not have this error: repeated requests read the same bytes, and may have memory.
            if (!kept)
            {
                await stream.WriteAsync(
                    static (state, output) => Overloaded(state.Call, state.Error, state.Format, output),
                    (Call: call, exhausted.Error, response.Events.Format),
                    response.Aborted);
            }
            await response.AbortAfterFlushAsync();
        }
        catch (Exception exception) when (response.HasStarted)
        {
            CallLog.Unexpected(logger, call.RequestId, exception);
            response.Abort();
        }
        finally
        {
            // 5.
            sweep.Remove(stream);
            // The generation has an end even if this stream has none.
            keys.LeaveToJob(call);
            if (isHere) drain.Leave();
        }
    }

    private static async Task PassAsync(
        IClientResponse response,
        OpenStream stream,
        GenerationRecord record,
        EventsAfter filter,
        PooledBuffer events,
        CancellationToken cancellationToken)
    {
        using var passed = new PooledBuffer();
        filter.Write(events.WrittenSpan, passed);
        events.Clear();
        if (passed.Length == 0) return;
        if (!response.HasStarted) await StartAsync(response, record, cancellationToken);
        await stream.WriteAsync(static (state, output) => BuffersExtensions.Write(output, state.WrittenSpan), passed, cancellationToken);
    }

    // Without a number: a reader that returns continues after the last event that it has.
    internal static void Overloaded(GatewayCall call, GatewayError error, EventFormat format, IBufferWriter<byte> output)
    {
        if (format == EventFormat.JsonLines)
        {
            BuffersExtensions.Write(output, SocketErrorEvent.Of(error, call.RequestId, call.Site));
            BuffersExtensions.Write(output, "\n"u8);
            return;
        }
        using var body = new PooledBuffer(512);
        ErrorBodyWriter.WriteBody(body, error, call.Dialect.ErrorShape, call.RequestId, call.Site);
        BuffersExtensions.Write(output, "event: error\ndata: "u8);
        BuffersExtensions.Write(output, body.WrittenSpan);
        BuffersExtensions.Write(output, "\n\n"u8);
    }

    private async Task EndAsync(
        IClientResponse response,
        GatewayCall call,
        OpenStream stream,
        GenerationRecord record,
        EventsAfter filter,
        PooledBuffer events,
        CancellationToken cancellationToken)
    {
        if (call.Idempotency is { } bound)
        {
            // Stored before it is sent: a client that has seen the end and repeats the request must get the same.
            var log = bound.Log!;
            log.Append(events.WrittenSpan);
            // The generation is stored, so a repeated request gets it. With a free key it would run, and be charged, again.
            if (log.Overflowed) keys.LeaveToJob(call);
            else await keys.CompleteAsync(call, StatusCodes.Status200OK, "text/event-stream; charset=utf-8", log.ToArray(), broken: false);
            call.Idempotency = null;
        }
        await PassAsync(response, stream, record, filter, events, cancellationToken);
        // The reader has every event; with this status an EventSource does not connect again (WHATWG HTML, 9.2).
        if (!filter.Any && !response.HasStarted) response.Status = StatusCodes.Status204NoContent;
    }

    private static Task StartAsync(IClientResponse response, GenerationRecord record, CancellationToken cancellationToken)
    {
        response.Status = StatusCodes.Status200OK;
        response.Headers.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache, no-store";
        response.Headers["Fairlead-Generation"] = record.Id;
        // nginx and compatible proxies do not buffer a response with this header.
        response.Headers["X-Accel-Buffering"] = "no";
        return response.StartAsync(cancellationToken);
    }

    private static long? Parse(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}
