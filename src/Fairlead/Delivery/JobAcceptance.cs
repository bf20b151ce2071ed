using System.Buffers;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Streaming;
using Fairlead.Webhooks;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Fairlead.Delivery;

/// <summary>
/// Takes a call whose client rather polls than waits. With a wait it begins at once, in this process, and is answered like any other when it
/// ends in time; otherwise the same generation goes on and is kept in the database from that moment. Without one it is queued.
/// </summary>
internal sealed class JobAcceptance(
    GatewayPipeline pipeline,
    IStorage storage,
    IGenerationStore store,
    JobCalls calls,
    JobWorker worker,
    GenerationRunner runner,
    HeldReservations held,
    GenerationWriter writer,
    KeptStreams streams,
    WebhookRules webhooks,
    IdempotencyKeys keys,
    IdempotencyReplay replay,
    Configuration.IConfigurationSource configuration,
    TimeProvider time,
    ILogger<JobAcceptance> logger)
{
    /// <summary>What it takes at most to accept a job, beside the wait of its client.</summary>
    private static readonly TimeSpan AcceptanceTime = TimeSpan.FromSeconds(5);

    /// <summary>Serves the request; returns the refusal when it was not accepted. Afterwards <see cref="GatewayCall.HandedOver"/> says who ends the call.</summary>
    /// <param name="context">The request.</param>
    /// <param name="call">Its call.</param>
    /// <param name="plan">Whether and how long it waits.</param>
    public async Task<GatewayError?> ServeAsync(HttpContext context, GatewayCall call, DeliveryPlan plan)
    {
        if (Receiver(call) is { } fault) return fault;
        // The request that this one repeats has the same wait, and is answered when that is over at the latest.
        call.RepeatPatience = plan.Wait + AcceptanceTime;
        var admitted = await pipeline.AdmitAsync(call, context.RequestAborted);
        if (admitted is GatewayReply.Refused refused) return refused.Error;
        if (await replay.TryWriteAsync(context, call, admitted)) return null;

        if (plan.IsPreferred)
        {
            context.Response.Headers["Preference-Applied"] = "respond-async";
            context.Response.Headers.Vary = "Prefer";
        }
        return plan.Kind == DeliveryKind.Hybrid
            ? await ServeWithinAsync(context, call, plan.Wait)
            : await QueueAsync(context, call);
    }

    /// <summary>The same for a request that asks for it in its dialect's own words, in which it is answered.</summary>
    public async Task<GatewayError?> ServeBackgroundAsync(HttpContext context, GatewayCall call)
    {
        if (Receiver(call) is { } fault) return fault;
        call.RepeatPatience = AcceptanceTime;
        var admitted = await pipeline.AdmitAsync(call, context.RequestAborted);
        if (admitted is GatewayReply.Refused refused) return refused.Error;
        if (await replay.TryWriteAsync(context, call, admitted)) return null;
        if (await QueueAsync(call) is { } error) return error;

        using var body = new PooledBuffer(1024);
        call.Dialect.Background!.WriteAccepted(call, body);
        await keys.CompleteAsync(call, StatusCodes.Status200OK, "application/json", body.WrittenMemory);
        var response = context.Response;
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = "application/json";
        response.Headers.CacheControl = "no-store";
        response.Headers["Fairlead-Generation"] = call.GenerationId;
        response.Headers["Api-Version"] = call.Caller.ApiVersion;
        response.ContentLength = body.Length;
        await response.BodyWriter.WriteAsync(body.WrittenMemory, context.RequestAborted);
        return null;
    }

    /// <summary>
    /// Serves a request whose stream can be read again. The generation is in the database before it begins, and begins at once; the client is the first of its
    /// readers.
    /// </summary>
    public async Task<GatewayError?> ServeStreamAsync(HttpContext context, GatewayCall call)
    {
        if (Receiver(call) is { } fault) return fault;
        var admitted = await pipeline.AdmitAsync(call, context.RequestAborted);
        if (admitted is GatewayReply.Refused refused) return refused.Error;
        if (await replay.TryWriteAsync(context, call, admitted)) return null;

        var record = JobCalls.BegunOf(call, null);
        // Both before it is kept: what there is no memory for is refused, and not begun.
        if (calls.ViewOf(record, call.Caller) is not { } view) throw new InvalidOperationException("A request that was read cannot be read again.");
        using var shown = view.Body;
        var (made, error) = calls.RunOf(record, call.Dialect, call.Caller);
        if (made is not { } run) return error;
        var (askedAt, lease) = (time.GetTimestamp(), worker.Lease);
        try
        {
            await store.AddAsync(record, worker.Owner, lease, CancellationToken.None);
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            run.Dispose();
            JobsLog.StoreAway(logger, StorageFaults.Describe(exception));
            var refusal = new GatewayError(ErrorCode.StoreUnavailable, "The stream cannot be kept now, so it was not begun.") { RetryAfter = TimeSpan.FromSeconds(5) };
            if (exception is UnknownCommitException) worker.Disown(record, refusal);
            return refusal;
        }
        run.Call.Address = call.Address;
        run.Call.Site = call.Site;
        run.Call.Reservation = call.Reservation;
        call.Reservation = null;
        call.HandedOver = true;
        worker.Adopt(run, record, askedAt, lease);
        run.Start(runner.RunAsync);
        _ = worker.FinishAsync(run, record with { Request = [] });

        context.Response.Headers["Api-Version"] = call.Caller.ApiVersion;
        await streams.RelayAsync(context, call, record, view.Dialect.StoredStreams!.CreateView(view, record), after: -1);
        return null;
    }

    private GatewayError? Receiver(GatewayCall call) =>
        call.Facts.Extension.Webhook is { } url && webhooks.Read(url).Fault is { } fault
            ? GatewayError.Invalid(call.Dialect.WebhookField, $"The address in '{call.Dialect.WebhookField}' cannot be used. {fault}")
            : null;

    private async Task<GatewayError?> QueueAsync(HttpContext context, GatewayCall call)
    {
        if (await QueueAsync(call) is { } error) return error;
        await WriteAcceptedAsync(context, call, JobCalls.QueuedOf(call));
        return null;
    }

    private async Task<GatewayError?> QueueAsync(GatewayCall call)
    {
        var record = JobCalls.QueuedOf(call);
        held.Keep(record.Id, call.Reservation);
        try
        {
            // Not the client's token: a client that leaves now may have a job or not, but never half of one.
            var limits = configuration.Current.Jobs;
            if (!await store.TryQueueAsync(record, new QueueLimits(limits.MaxQueuedPerProject, limits.MaxQueuedBytesPerProject), CancellationToken.None))
            {
                held.Take(record.Id);
                return Full(limits);
            }
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            // The call itself settles.
            held.Take(record.Id);
            JobsLog.StoreAway(logger, StorageFaults.Describe(exception));
            var refusal = new GatewayError(ErrorCode.StoreUnavailable, "The job cannot be kept now, so it was not accepted.") { RetryAfter = TimeSpan.FromSeconds(5) };
            if (exception is UnknownCommitException) worker.Disown(record, refusal);
            return refusal;
        }
        call.Reservation = null;
        call.HandedOver = true;
        worker.Wake();
        storage.Notifier.Announce(JobNotices.Queued, record.Id);
        return null;
    }

    private static GatewayError Full(JobsConfig limits) => new(ErrorCode.QueueFull, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"The project's queue is full: {limits.MaxQueuedPerProject:N0} jobs may wait, with requests of {limits.MaxQueuedBytesPerProject:N0} bytes together."))
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };

    private async Task<GatewayError?> ServeWithinAsync(HttpContext context, GatewayCall call, TimeSpan wait)
    {
        var record = JobCalls.BegunOf(call, wait);
        var (made, error) = calls.RunOf(record, call.Dialect, call.Caller);
        if (made is not { } run) return error;
        run.Call.Address = call.Address;
        run.Call.Site = call.Site;
        run.Call.Reservation = call.Reservation;
        call.Reservation = null;
        call.HandedOver = true;
        run.Start(runner.RunAsync);

        var kept = false;
        try
        {
            kept = !await EndsWithinAsync(context, run, wait, call.GoesOn) && await TryKeepAsync(run, record);
            if (kept)
            {
                await WriteAcceptedAsync(context, call, record);
                return null;
            }
            // In time; or it could not be kept, and is waited for like any other call.
            RunResult result;
            using (context.RequestAborted.UnsafeRegister(static state => ((GenerationRun)state!).Stop(CancellationReason.ClientLeft), run))
            {
                result = await run.Completion;
            }
            if (result.Stopped == CancellationReason.Shutdown && (call.GoesOn || !context.RequestAborted.IsCancellationRequested) && await TryHandOnAsync(record) is { } queued)
            {
                await WriteAcceptedAsync(context, call, queued);
                return null;
            }
            if (result.Error is { } failed)
            {
                call.Attempts.AddRange(run.Call.Attempts);
                call.Ending = run.Call.Ending;
                await keys.ConcludeAsync(call, failed);
            }
            else
            {
                await keys.CompleteAsync(call, result.Status, "application/json", result.Body);
            }
            if (!context.RequestAborted.IsCancellationRequested) await WriteResultAsync(context, run, result);
            return null;
        }
        finally
        {
            if (!kept)
            {
                await run.Completion;
                run.Dispose();
            }
        }
    }

    private async Task<bool> EndsWithinAsync(HttpContext context, GenerationRun run, TimeSpan wait, bool goesOn)
    {
        try
        {
            await run.Completion.WaitAsync(wait, time, context.RequestAborted);
            return true;
        }
        catch (TimeoutException)
        {
            return run.Completion.IsCompleted;
        }
        catch (OperationCanceledException)
        {
            // The client left before it was told of a job, so there is none, unless it asked for the generation to go on.
            if (!goesOn) run.Stop(CancellationReason.ClientLeft);
            return !goesOn;
        }
    }

    private async Task<bool> TryKeepAsync(GenerationRun run, GenerationRecord record)
    {
        var (askedAt, lease) = (time.GetTimestamp(), worker.Lease);
        try
        {
            await store.AddAsync(record, worker.Owner, lease, CancellationToken.None);
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            JobsLog.StoreAway(logger, StorageFaults.Describe(exception));
            if (exception is UnknownCommitException) worker.Disown(record, new GatewayError(ErrorCode.StoreUnavailable, "The generation could not be kept. Its result went to the client that waited for it."));
            return false;
        }
        worker.Adopt(run, record, askedAt, lease);
        _ = worker.FinishAsync(run, record with { Request = [] });
        return true;
    }

    /// <summary>Its process stops before it has ended: it becomes a job that waits for the next one. Null when it cannot be kept.</summary>
    private async Task<GenerationRecord?> TryHandOnAsync(GenerationRecord record)
    {
        var queued = record with { Status = GenerationStatus.Queued, AvailableAt = record.CreatedAt, Returns = 1 };
        try
        {
            await store.AddAsync(queued, null, TimeSpan.Zero, CancellationToken.None);
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            JobsLog.StoreAway(logger, StorageFaults.Describe(exception));
            if (exception is UnknownCommitException) worker.Disown(queued, new GatewayError(ErrorCode.StoreUnavailable, "The server stopped, and the generation could not be kept."));
            return null;
        }
        storage.Notifier.Announce(JobNotices.Queued, record.Id);
        return queued;
    }

    private async Task WriteAcceptedAsync(HttpContext context, GatewayCall call, GenerationRecord record)
    {
        var response = context.Response;
        response.StatusCode = StatusCodes.Status202Accepted;
        response.ContentType = "application/json";
        response.Headers.Location = PublicAddress.Of(response.HttpContext).Reference($"/v2/generations/{record.Id}");
        response.Headers.RetryAfter = "1";
        response.Headers.CacheControl = "no-store";
        response.Headers["Fairlead-Generation"] = record.Id;
        response.Headers["Api-Version"] = call.Caller.ApiVersion;
        var body = new ArrayBufferWriter<byte>(1024);
        // Not the client's token: the key of one that left now must lead to this job, or its repetition would begin another.
        await writer.WriteAsync(body, record, CancellationToken.None);
        await keys.CompleteAsync(call, response.StatusCode, response.ContentType, body.WrittenMemory);
        await response.BodyWriter.WriteAsync(body.WrittenMemory, context.RequestAborted);
    }

    private static async Task WriteResultAsync(HttpContext context, GenerationRun run, RunResult result)
    {
        var response = context.Response;
        if (result.Error is { } error) ErrorBodyWriter.WriteHead(response, error, run.Call.Dialect.ErrorShape);
        else
        {
            response.StatusCode = result.Status;
            response.ContentType = "application/json";
        }
        ReplyHeaders.Write(response, run.Call);
        response.ContentLength = result.Body.Length;
        await LargeBody.WriteAsync(response.BodyWriter, result.Body, context.RequestAborted);
    }
}
