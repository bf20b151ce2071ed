using System.Collections.Concurrent;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Memory;
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
    /// <summary>Twice the longest that can be configured: clocks of nodes differ.</summary>
    private static readonly TimeSpan LongestLease = TimeSpan.FromMinutes(20);

    // As long as a client waits for the head of a response without a doubt.
    private static readonly TimeSpan MaxRepeatWait = TimeSpan.FromSeconds(5);

    /// <summary>Longer than a statement whose response was lost can take.</summary>
    private static readonly TimeSpan AbandonedFor = TimeSpan.FromMinutes(2);

    private readonly string _owner = Ids.New("run_", time);

    /// <summary>Keys that may be bound to a generation that never ran, because the database could not be reached when they were bound or freed. Left so, they would refuse the request until their time is over.</summary>
    private readonly ConcurrentDictionary<(string ProjectId, string Key, string GenerationId), long> _abandoned = new();
    private readonly ConcurrentDictionary<(string ProjectId, string Key), IdempotentRun> _running = new();

    /// <summary>Binds the call's key to it (then null: the call goes on), or says what is to be answered instead.</summary>
    public async ValueTask<GatewayReply?> BindAsync(GatewayCall call, string key, CancellationToken cancellationToken)
    {
        var hash = RequestHash.Of(call.Endpoint, call.Body.WrittenSpan);
        var id = (call.Caller.ProjectId, key);
        try
        {
            // Twice, since a key may be freed between the two questions.
            for (var asked = 0; asked < 2;)
            {
                if (_running.TryGetValue(id, out var near))
                {
                    if (await MeetAsync(call, hash, near, cancellationToken) is { } met) return met;
                    continue;
                }
                // Known to this node before the database is asked: who repeats the request in this moment joins it as at any other.
                var run = new IdempotentRun(id.ProjectId, key, call.GenerationId, hash, call.Streams, call.Memory);
                if (!_running.TryAdd(id, run)) continue;
                if (await TryBindAsync(run))
                {
                    call.Idempotency = run;
                    return null;
                }
                var known = await store.FindAsync(id.ProjectId, key, call.Body.Count, cancellationToken);
                if (known is not null && !await TryFreeAsync((id.ProjectId, key, known.GenerationId), cancellationToken)) return await MeetAsync(call, hash, known, cancellationToken);
                asked++;
            }
            return new GatewayReply.Refused(Running(call.GenerationId));
        }
        catch (MemoryExhaustedException exhausted)
        {
            // Who repeats a request many times would otherwise hold its response as often.
            return new GatewayReply.Refused(exhausted.Error);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            // Without the store nobody could promise that it runs once.
            IdempotencyLog.StoreAway(logger, StorageErrors.Describe(exception));
            return new GatewayReply.Refused(new GatewayError(ErrorCode.StoreUnavailable, "The idempotency key cannot be looked up now, so the request was not accepted.") { RetryAfter = TimeSpan.FromSeconds(5) });
        }
    }

    private async Task<bool> TryBindAsync(IdempotentRun run)
    {
        try
        {
            var now = time.GetUtcNow();
            var bound = new BoundKey(run.RequestHash, run.GenerationId, _owner, now + configuration.Current.Jobs.Lease, now + configuration.Current.Idempotency.Ttl, 0, null, false, null);
            // Not the client's token: a key that was bound for a client that left would be bound to nothing.
            var isBound = await store.TryBindAsync(run.ProjectId, run.Key, bound, now, CancellationToken.None);
            if (!isBound) Forget(run);
            run.SetBound(isBound);
            return isBound;
        }
        catch (Exception exception)
        {
            if (exception is UnknownCommitException) Abandon(run);
            Forget(run);
            run.SetBound(exception);
            throw;
        }
    }

    /// <summary>Frees a key of which this node knows that its generation never ran.</summary>
    private async Task<bool> TryFreeAsync((string ProjectId, string Key, string GenerationId) id, CancellationToken cancellationToken)
    {
        if (!_abandoned.ContainsKey(id)) return false;
        await store.ReleaseAsync(id.ProjectId, id.Key, id.GenerationId, cancellationToken);
        _abandoned.TryRemove(id, out _);
        return true;
    }

    private void Abandon(IdempotentRun run) => _abandoned[(run.ProjectId, run.Key, run.GenerationId)] = time.GetTimestamp();

    private void Forget(IdempotentRun run)
    {
        _running.TryRemove(new((run.ProjectId, run.Key), run));
        run.SetLeft();
    }

    /// <summary>Stores what the call is answered with, before it is.</summary>
    public async ValueTask CompleteAsync(GatewayCall call, int status, string contentType, ReadOnlyMemory<byte> body, bool broken = false)
    {
        if (call.Idempotency is not { Concluded: false } run) return;
        run.Concluded = true;
        try
        {
            await store.CompleteAsync(run.ProjectId, run.Key, run.GenerationId, status, contentType, broken, ArrayOf(body), CancellationToken.None);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            // The answer exists and is paid for. Who repeats the request learns, when the lease is over, that it ran.
            IdempotencyLog.StoreAway(logger, StorageErrors.Describe(exception));
        }
        finally
        {
            run.Log?.Complete(broken);
            Forget(run);
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
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            IdempotencyLog.StoreAway(logger, StorageErrors.Describe(exception));
            Abandon(run);
        }
        finally
        {
            run.Log?.Complete(broken: true);
            Forget(run);
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
        Forget(run);
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
            foreach (var (id, since) in _abandoned)
            {
                // What is not there may still be on its way for a while.
                if (await store.ReleaseAsync(id.ProjectId, id.Key, id.GenerationId, cancellationToken) || time.GetElapsedTime(since) > AbandonedFor) _abandoned.TryRemove(id, out _);
            }
            while (await store.ExpireAsync(now, cancellationToken) > 0)
            {
                // In pieces.
            }
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            IdempotencyLog.StoreAway(logger, StorageErrors.Describe(exception));
        }
    }

    /// <summary>Meets the run on this node that has the key, or is about to get it. Null when it has left: then the key is looked up again.</summary>
    private async ValueTask<GatewayReply?> MeetAsync(GatewayCall call, byte[] hash, IdempotentRun near, CancellationToken cancellationToken)
    {
        if (!await near.Bound.WaitAsync(cancellationToken)) return null;
        if (!hash.AsSpan().SequenceEqual(near.RequestHash)) return new GatewayReply.Refused(Reused());
        if (call.Streams && near.Log is { Overflowed: false } log)
        {
            // A stream that never began was refused. That is answered as it was, or the request runs now.
            var patience = configuration.Current.Stream.CommitAfter / 2;
            if (await log.BeginsWithinAsync(patience < MaxRepeatWait ? patience : MaxRepeatWait, time, cancellationToken)) return new GatewayReply.Joined(near.GenerationId, log);
            await near.Left.WaitAsync(cancellationToken);
            return null;
        }
        if (call.RepeatWait > TimeSpan.Zero)
        {
            try
            {
                await near.Left.WaitAsync(call.RepeatWait, time, cancellationToken);
                return null;
            }
            catch (TimeoutException)
            {
            }
        }
        return new GatewayReply.Refused(Running(near.GenerationId));
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
        // A lease that ends later than any can was written by a clock that was set back since.
        var left = known.LeaseUntil - time.GetUtcNow();
        if (left > TimeSpan.Zero && left <= LongestLease) return new GatewayReply.Refused(Running(known.GenerationId));
        // Its process died. A job goes on elsewhere, and is what was accepted; of anything else nobody knows how far it came.
        return await generations.FindAsync(call.Caller.ProjectId, known.GenerationId, GenerationBodies.Result, call.Body.Count, cancellationToken) is { } job
            ? new GatewayReply.ReplayedJob(job)
            : new GatewayReply.Refused(Lost(known.GenerationId));
    }

    // Not a copy where it is a whole array already.
    private static byte[] ArrayOf(ReadOnlyMemory<byte> body) =>
        System.Runtime.InteropServices.MemoryMarshal.TryGetArray(body, out var part) && part.Array is { } whole && part.Offset == 0 && part.Count == whole.Length ? whole : body.ToArray();

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
