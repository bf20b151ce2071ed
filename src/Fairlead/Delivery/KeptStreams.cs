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
using Fairlead.Streaming;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// Streams kept generations to any number of readers, from any event on. A reader that leaves changes nothing for the generation; one whose server
/// stops finds its connection broken off, and reads on at another.
/// </summary>
internal sealed class KeptStreams(
    IGenerationStore store,
    RunningGenerations running,
    GenerationFollowers followers,
    IdempotencyKeys keys,
    StreamSweep sweep,
    DrainState drain,
    MemoryBudget memory,
    TimeProvider time,
    ILogger<KeptStreams> logger)
{
    /// <summary>A stream of ordinary events holds less, and goes uncounted.</summary>
    private const int UncountedBytes = 16 * 1024;

    /// <summary>What is written is copied on its way: as an object, behind the last event that the reader has, and out.</summary>
    private const int Copies = 3;

    /// <summary>Reads the number of the last event that a reader has: of the header that event streams resume with, or of the query. -1 for none.</summary>
    public static (long After, GatewayError? Error) AfterOf(HttpContext context, string parameter)
    {
        // A client that lost its connection repeats the address it began with, and says in the header how far it came.
        if (context.Request.Headers.TryGetValue("Last-Event-ID", out var header) && header.ToString() is { Length: > 0 } last)
        {
            return Parse(last) is { } id ? (id, null) : (-1, GatewayError.Invalid("Last-Event-ID", "The header 'Last-Event-ID' is the number of an event: a whole number from 0."));
        }
        if (context.Request.Query[parameter].ToString() is not { Length: > 0 } text) return (-1, null);
        return Parse(text) is { } number ? (number, null) : (-1, GatewayError.Invalid(parameter, $"'{parameter}' is the number of the last event that you have: a whole number from 0."));
    }

    /// <summary>Streams a view of <paramref name="record"/> until the generation has ended or the reader has left.</summary>
    /// <param name="context">The request.</param>
    /// <param name="call">The call that is answered; when a key is bound to it, what it is answered with is kept.</param>
    /// <param name="record">The generation.</param>
    /// <param name="view">How it is shown.</param>
    /// <param name="after">The last event that the reader has; -1 for none.</param>
    public async Task RelayAsync(HttpContext context, GatewayCall call, GenerationRecord record, GenerationView view, long after)
    {
        var kept = call.Idempotency is not null;
        var share = memory.ShareOf(call.Caller.KeyId);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(kept ? CancellationToken.None : context.RequestAborted, drain.Over);
        await using var stream = new OpenStream(context.Response.BodyWriter, call);
        await using var events = new KeptEventSource(store, running, followers, share, record);
        var filter = new EventsAfter(after);
        // Of what is made here a reader hears the end; of anything else it can hear elsewhere.
        var isHere = running.Find(record.Id) is not null;
        if (isHere) drain.Enter();
        try
        {
            // Of one that has ended nothing may be left to tell; of any other, headers come at once.
            if (!record.IsFinal) await StartAsync(context, record, stop.Token);
            sweep.Add(stream);
            using var batch = new EventBatch();
            using var output = new PooledBuffer(4096, share, UncountedBytes, Copies);
            view.WriteStart(output);
            if (record.StartedAt is null) await PassAsync(context, stream, record, filter, output, stop.Token);
            if (await events.WaitForBeginAsync(stop.Token) is { StartedAt: not null } begun) view.WriteBegun(begun, output);
            do
            {
                if (batch.Items.Count > 0) view.Write(batch, output);
                await PassAsync(context, stream, record, filter, output, stop.Token);
                if (stream.ClientGone && !kept) return;
            }
            while (await events.ReadAsync(batch, stop.Token));

            if (events.Record is not { } ended)
            {
                // Nothing is left that it could end with: a broken connection, never an end that looks like one.
                if (context.Response.HasStarted) context.Abort();
                else await ErrorResponses.WriteAsync(context, new GatewayError(ErrorCode.NotFound, $"The generation '{record.Id}' is no longer kept."), call.Dialect.ErrorShape);
                return;
            }
            view.WriteEnd(ended, output);
            await EndAsync(context, call, stream, record, filter, output, stop.Token);
        }
        catch (OperationCanceledException)
        {
            // The reader left, or this server stops. Never an end that looks like one.
            if (!context.RequestAborted.IsCancellationRequested) context.Abort();
        }
        catch (MemoryExhaustedException exhausted) when (context.Response.HasStarted)
        {
            // Others who repeat the request read the same bytes, and are not without memory.
            if (!kept) await stream.WriteAsync(static (state, output) => Overloaded(state.Call, state.Error, output), (Call: call, exhausted.Error), context.RequestAborted);
            await UncleanEnd.SendAsync(context, time);
        }
        catch (Exception exception) when (context.Response.HasStarted)
        {
            CallLog.Unexpected(logger, call.RequestId, exception);
            context.Abort();
        }
        finally
        {
            sweep.Remove(stream);
            // Without an end of this stream there is one of the generation all the same.
            keys.LeaveToJob(call);
            if (isHere) drain.Leave();
        }
    }

    private static async Task PassAsync(HttpContext context, OpenStream stream, GenerationRecord record, EventsAfter filter, PooledBuffer events, CancellationToken cancellationToken)
    {
        using var passed = new PooledBuffer();
        filter.Write(events.WrittenSpan, passed);
        events.Clear();
        if (passed.Length == 0) return;
        if (!context.Response.HasStarted) await StartAsync(context, record, cancellationToken);
        await stream.WriteAsync(static (state, output) => System.Buffers.BuffersExtensions.Write(output, state.WrittenSpan), passed, cancellationToken);
    }

    // Without a number: a reader that comes back goes on behind the last event that it has.
    private static void Overloaded(GatewayCall call, GatewayError error, System.Buffers.IBufferWriter<byte> output)
    {
        using var body = new PooledBuffer(512);
        ErrorBodyWriter.WriteBody(body, error, call.Dialect.ErrorShape, call.RequestId, call.Site);
        System.Buffers.BuffersExtensions.Write(output, "event: error\ndata: "u8);
        System.Buffers.BuffersExtensions.Write(output, body.WrittenSpan);
        System.Buffers.BuffersExtensions.Write(output, "\n\n"u8);
    }

    private async Task EndAsync(HttpContext context, GatewayCall call, OpenStream stream, GenerationRecord record, EventsAfter filter, PooledBuffer events, CancellationToken cancellationToken)
    {
        if (call.Idempotency is { } bound)
        {
            // Stored first: who saw the end and asks again must get the same.
            var log = bound.Log!;
            log.Append(events.WrittenSpan);
            // The generation is kept: who repeats the request is led to it. A free key would run it, and charge it, once more.
            if (log.Overflowed) keys.LeaveToJob(call);
            else await keys.CompleteAsync(call, StatusCodes.Status200OK, "text/event-stream; charset=utf-8", log.ToArray(), broken: false);
            call.Idempotency = null;
        }
        await PassAsync(context, stream, record, filter, events, cancellationToken);
        // The reader has it all; with this status an EventSource stops asking (WHATWG HTML, 9.2).
        if (!filter.Any && !context.Response.HasStarted) context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static Task StartAsync(HttpContext context, GenerationRecord record, CancellationToken cancellationToken)
    {
        var response = context.Response;
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache, no-store";
        response.Headers["Fairlead-Generation"] = record.Id;
        // Tells nginx and those that learnt from it not to collect the stream.
        response.Headers["X-Accel-Buffering"] = "no";
        return response.StartAsync(cancellationToken);
    }

    private static long? Parse(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}
