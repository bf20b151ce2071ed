using System.Collections.Concurrent;
using Fairlead.Configuration;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Streaming;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Idempotency;

/// <summary>
/// Binds keys to generations, one generation a key among all nodes of the database, and keeps what came of them. A bound key has a lease while its
/// generation runs: when the process dies, the lease runs out, and whoever repeats the request is told so instead of running it again. Thread-safe.
/// </summary>
internal sealed class IdempotencyKeys(IdempotencyStore store, IGenerationStore generations, IConfigurationSource configuration, TimeProvider time, ILogger<IdempotencyKeys> logger) : BackgroundService
{
    private readonly string _owner = Ids.New("run_", time);
    private readonly ConcurrentDictionary<(string ProjectId, string Key), IdempotentRun> _running = new();

    /// <summary>Binds the call's key to it (then null: the call goes on), or says what is to be answered instead.</summary>
    public async ValueTask<GatewayReply?> BindAsync(GatewayCall call, string key, CancellationToken cancellationToken)
    {
        var hash = RequestHash.Of(call.Endpoint, call.Body.WrittenSpan);
        var project = call.Caller.ProjectId;
        try
        {
            // Twice, since a key may be freed between the two questions.
            for (var i = 0; i < 2; i++)
            {
                if (_running.TryGetValue((project, key), out var near)) return Meet(call, hash, near.RequestHash, near.GenerationId, near.Log);
                var now = time.GetUtcNow();
                var bound = new BoundKey(hash, call.GenerationId, _owner, now + configuration.Current.Jobs.Lease, now + configuration.Current.Idempotency.Ttl, 0, null, false, null);
                if (await store.TryBindAsync(project, key, bound, now, cancellationToken))
                {
                    var run = new IdempotentRun(project, key, call.GenerationId, hash, call.Facts.Stream, call.Memory);
                    _running[(project, key)] = run;
                    call.Idempotency = run;
                    return null;
                }
                if (await store.FindAsync(project, key, cancellationToken) is { } known) return await MeetAsync(call, hash, known, cancellationToken);
            }
            return new GatewayReply.Refused(Running(call.GenerationId));
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            // Without the store nobody could promise that it runs once.
            IdempotencyLog.StoreAway(logger, StorageFaults.Describe(exception));
            return new GatewayReply.Refused(new GatewayError(ErrorCode.StoreUnavailable, "The idempotency key cannot be looked up now, so the request was not accepted.") { RetryAfter = TimeSpan.FromSeconds(5) });
        }
    }

    /// <summary>Stores what the call is answered with, before it is.</summary>
    public async ValueTask CompleteAsync(GatewayCall call, int status, string contentType, ReadOnlyMemory<byte> body, bool broken = false)
    {
        if (call.Idempotency is not { Concluded: false } run) return;
        run.Concluded = true;
        try
        {
            await store.CompleteAsync(run.ProjectId, run.Key, run.GenerationId, status, contentType, broken, body.ToArray(), CancellationToken.None);
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            // The answer exists and is paid for. Who repeats the request learns, when the lease is over, that it ran.
            IdempotencyLog.StoreAway(logger, StorageFaults.Describe(exception));
        }
        finally
        {
            run.Log?.Complete(broken);
            _running.TryRemove(new((run.ProjectId, run.Key), run));
        }
    }

    /// <summary>
    /// The call failed with <paramref name="error"/>: a failure before anything was made, which may be repeated, leaves the key free; any other one is the outcome.
    /// </summary>
    public async ValueTask ConcludeAsync(GatewayCall call, GatewayError error)
    {
        if (call.Idempotency is not { Concluded: false } run) return;
        var sent = call.Attempts.Exists(attempt => attempt.Sent);
        if (sent && (!error.Definition.Retryable || call.Answering is not null || call.Ending is not { Cost.Usd: 0 }))
        {
            using var body = new PooledBuffer(512);
            ErrorBodyWriter.WriteBody(body, error, call.Dialect.ErrorShape, call.RequestId, call.Site);
            await CompleteAsync(call, ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape), ErrorBodyWriter.ContentTypeOf(call.Dialect.ErrorShape), body.WrittenMemory);
            return;
        }
        run.Concluded = true;
        try
        {
            await store.ReleaseAsync(run.ProjectId, run.Key, run.GenerationId, CancellationToken.None);
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            IdempotencyLog.StoreAway(logger, StorageFaults.Describe(exception));
        }
        finally
        {
            run.Log?.Complete(broken: true);
            _running.TryRemove(new((run.ProjectId, run.Key), run));
        }
    }

    /// <summary>
    /// This process has no answer to the call any more, but its generation is kept and goes on, here or elsewhere: the key stays bound to it, and when its
    /// lease is over leads to the job.
    /// </summary>
    public void LeaveToJob(GatewayCall call)
    {
        if (call.Idempotency is not { Concluded: false } run) return;
        run.Concluded = true;
        run.Log?.Complete(broken: true);
        _running.TryRemove(new((run.ProjectId, run.Key), run));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(configuration.Current.Jobs.Lease / 3, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) await BeatAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    internal async Task BeatAsync(CancellationToken cancellationToken)
    {
        try
        {
            var now = time.GetUtcNow();
            if (!_running.IsEmpty) await store.RenewAsync(_owner, now + configuration.Current.Jobs.Lease, [.. _running.Keys], cancellationToken);
            while (await store.ExpireAsync(now, cancellationToken) > 0)
            {
                // In pieces.
            }
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            IdempotencyLog.StoreAway(logger, StorageFaults.Describe(exception));
        }
    }

    private static GatewayReply Meet(GatewayCall call, byte[] hash, byte[] known, string generationId, ReplayLog? log)
    {
        if (!hash.AsSpan().SequenceEqual(known)) return new GatewayReply.Refused(Reused());
        return log is { Overflowed: false } && call.Facts.Stream ? new GatewayReply.Joined(generationId, log) : new GatewayReply.Refused(Running(generationId));
    }

    private async ValueTask<GatewayReply> MeetAsync(GatewayCall call, byte[] hash, BoundKey known, CancellationToken cancellationToken)
    {
        if (!hash.AsSpan().SequenceEqual(known.RequestHash)) return new GatewayReply.Refused(Reused());
        if (known.Status != 0)
        {
            return known.Body is { } body
                ? new GatewayReply.Replayed(known.GenerationId, known.Status, known.ContentType ?? "application/json", body, known.Broken)
                : new GatewayReply.Refused(Lost(known.GenerationId));
        }
        if (known.LeaseUntil > time.GetUtcNow()) return new GatewayReply.Refused(Running(known.GenerationId));
        // Its process died. A job goes on elsewhere, and is what was accepted; of anything else nobody knows how far it came.
        return await generations.FindAsync(call.Caller.ProjectId, known.GenerationId, GenerationBodies.Result, cancellationToken) is { } job
            ? new GatewayReply.ReplayedJob(job)
            : new GatewayReply.Refused(Lost(known.GenerationId));
    }

    private static GatewayError Reused() => new(ErrorCode.IdempotencyConflict, "This Idempotency-Key was sent with another request before.") { Parameter = "Idempotency-Key" };

    private static GatewayError Running(string generationId) => new(ErrorCode.IdempotencyInProgress, $"The request of this Idempotency-Key is still under way as {generationId}.")
    {
        Parameter = "Idempotency-Key",
        RetryAfter = TimeSpan.FromSeconds(1),
        Details = new() { ["generation_id"] = generationId },
    };

    private static GatewayError Lost(string generationId) => new(ErrorCode.InternalError, $"The request of this Idempotency-Key was under way as {generationId} when its process stopped; its answer is lost.")
    {
        Remedy = "It may have run and been charged, so it was not run again. Send another Idempotency-Key to run it anew.",
        Details = new() { ["generation_id"] = generationId },
    };
}
