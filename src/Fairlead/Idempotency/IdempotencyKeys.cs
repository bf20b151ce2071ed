using System.Collections.Concurrent;
using System.Runtime.InteropServices;
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
/// Binds keys to generations, one generation for each key on all nodes of the database, and stores the outcomes. A bound key has a lease
/// while its generation runs. If the process dies, the lease expires, and a repeated request gets an error instead of running again.
/// Thread-safe.
/// </summary>
internal sealed class IdempotencyKeys(
    IdempotencyStore store,
    IGenerationStore generations,
    IConfigurationSource configuration,
    TimeProvider time,
    ILogger<IdempotencyKeys> logger) : BackgroundService
{
    /// <summary>Twice the maximum that can be configured, because the clocks of nodes differ.</summary>
    private static readonly TimeSpan MaxLease = TimeSpan.FromMinutes(20);

    // Every client waits this long for the headers of a response.
    private static readonly TimeSpan MaxJoinTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Longer than a statement can take after its response was lost.</summary>
    private static readonly TimeSpan AbandonedFor = TimeSpan.FromMinutes(2);

    private readonly string _owner = Ids.New("run_", time);

    /// <summary>
    /// Keys that may be bound to a generation that never ran, because the database was unavailable when they were bound or freed. They are
    /// freed later; otherwise their requests would be refused until they expire.
    /// </summary>
    private readonly ConcurrentDictionary<(string ProjectId, string Key, string GenerationId), long> _abandoned = new();
    private readonly ConcurrentDictionary<(string ProjectId, string Key), IdempotentRun> _running = new();

    /// <summary>Binds the key to the call. Returns null if the call may run, or else the reply to it.</summary>
    public async ValueTask<GatewayReply?> BindAsync(GatewayCall call, string key, CancellationToken cancellationToken)
    {
        var hash = RequestHash.Of(call.Endpoint, call.Body.WrittenSpan);
        var id = (call.Caller.ProjectId, key);
        try
        {
            // Twice, because the key may be freed between the two statements.
            for (var asked = 0; asked < 2;)
            {
                if (_running.TryGetValue(id, out var near))
                {
                    if (await JoinAsync(call, hash, near, cancellationToken) is { } joined) return joined;
                    continue;
                }
                // Registered before the database is asked, so that a request that is repeated at this moment joins it.
                var run = new IdempotentRun(id.ProjectId, key, call.GenerationId, hash, call.Streams, call.Memory);
                if (!_running.TryAdd(id, run)) continue;
                if (await TryBindAsync(run))
                {
                    call.Idempotency = run;
                    return null;
                }
                var known = await store.FindAsync(id.ProjectId, key, call.Body.Count, cancellationToken);
                if (known is not null && !await TryFreeAsync((id.ProjectId, key, known.GenerationId), cancellationToken))
                {
                    return await RepeatAsync(call, hash, known, cancellationToken);
                }
                asked++;
            }
            return new GatewayReply.Refused(Running(call.GenerationId));
        }
        catch (MemoryExhaustedException exhausted)
        {
            // Otherwise a request that is repeated many times would have its response in memory as often.
            return new GatewayReply.Refused(exhausted.Error);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            // Without the store, the request might run twice.
            IdempotencyLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
            return new GatewayReply.Refused(new GatewayError(
                ErrorCode.StoreUnavailable, "The idempotency key cannot be looked up now, so the request was not accepted.")
            {
                RetryAfter = TimeSpan.FromSeconds(5),
            });
        }
    }

    private async Task<bool> TryBindAsync(IdempotentRun run)
    {
        try
        {
            var now = time.GetUtcNow();
            var leaseUntil = now + configuration.Current.Jobs.Lease;
            var expiresAt = now + configuration.Current.Idempotency.Ttl;
            var bound = new BoundKey(run.RequestHash, run.GenerationId, _owner, leaseUntil, expiresAt, 0, null, false, null);
            // Not the client's token: otherwise the key might stay bound without a generation.
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

    /// <summary>Frees the key of a generation that never ran, as far as this node knows.</summary>
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

    /// <summary>Stores the response of the call, before it is sent.</summary>
    public async ValueTask CompleteAsync(
        GatewayCall call, int status, string contentType, ReadOnlyMemory<byte> body, bool broken = false)
    {
        if (call.Idempotency is not { Concluded: false } run) return;
        run.Concluded = true;
        try
        {
            await store.CompleteAsync(
                run.ProjectId, run.Key, run.GenerationId, status, contentType, broken, ArrayOf(body), CancellationToken.None);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            // The response exists and is paid for. After the lease, a repeated request gets the error that it ran.
            IdempotencyLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
        }
        finally
        {
            run.Log?.Complete(broken);
            Forget(run);
        }
    }

    /// <summary>
    /// The call failed with <paramref name="error"/>. A retryable failure before any output leaves the key free; any other failure is the
    /// outcome.
    /// </summary>
    public async ValueTask ConcludeAsync(GatewayCall call, GatewayError error)
    {
        if (call.Idempotency is not { Concluded: false } run) return;
        var sent = call.Attempts.Exists(attempt => attempt.Sent);
        if (sent && (!error.Definition.Retryable || call.Answering is not null || call.Ending is not { Cost.Usd: 0 }))
        {
            using var body = new PooledBuffer(512);
            ErrorBodyWriter.WriteBody(body, error, call.Dialect.ErrorShape, call.RequestId, call.Site);
            var status = ErrorBodyWriter.StatusOf(error, call.Dialect.ErrorShape);
            await CompleteAsync(call, status, ErrorBodyWriter.ContentTypeOf(call.Dialect.ErrorShape), body.WrittenMemory);
            return;
        }
        run.Concluded = true;
        try
        {
            await store.ReleaseAsync(run.ProjectId, run.Key, run.GenerationId, CancellationToken.None);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            IdempotencyLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
            Abandon(run);
        }
        finally
        {
            run.Log?.Complete(broken: true);
            Forget(run);
        }
    }

    /// <summary>
    /// This process will not finish the response of the call, but its generation is stored and continues, here or elsewhere. The key stays
    /// bound to it, and after its lease, a repeated request gets the job.
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
            while (await timer.WaitForNextTickAsync(stoppingToken)) await RenewAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    internal async Task RenewAsync(CancellationToken cancellationToken)
    {
        try
        {
            var now = time.GetUtcNow();
            if (!_running.IsEmpty)
            {
                await store.RenewAsync(_owner, now + configuration.Current.Jobs.Lease, [.. _running.Keys], cancellationToken);
            }
            foreach (var (id, since) in _abandoned)
            {
                // A key that is not bound may still be for a while: the statement may be on its way.
                var isFree = await store.ReleaseAsync(id.ProjectId, id.Key, id.GenerationId, cancellationToken);
                if (isFree || time.GetElapsedTime(since) > AbandonedFor) _abandoned.TryRemove(id, out _);
            }
            while (await store.ExpireAsync(now, cancellationToken) > 0)
            {
                // In batches.
            }
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            IdempotencyLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
        }
    }

    /// <summary>
    /// The reply to a repetition of a request that runs on this node, or is about to. Null if it has ended; then look the key up again.
    /// </summary>
    private async ValueTask<GatewayReply?> JoinAsync(GatewayCall call, byte[] hash, IdempotentRun near, CancellationToken cancellationToken)
    {
        if (!await near.Bound.WaitAsync(cancellationToken)) return null;
        if (!hash.AsSpan().SequenceEqual(near.RequestHash)) return new GatewayReply.Refused(Reused());
        if (call.Streams && near.Log is { Overflowed: false } log)
        {
            // A stream that never started was refused. The repetition gets the same error, or runs now.
            var timeout = configuration.Current.Stream.CommitAfter / 2;
            if (await log.StartsWithinAsync(timeout < MaxJoinTimeout ? timeout : MaxJoinTimeout, time, cancellationToken))
            {
                return new GatewayReply.Joined(near.GenerationId, log);
            }
            await near.Left.WaitAsync(cancellationToken);
            return null;
        }
        if (call.RepeatTimeout > TimeSpan.Zero)
        {
            try
            {
                await near.Left.WaitAsync(call.RepeatTimeout, time, cancellationToken);
                return null;
            }
            catch (TimeoutException)
            {
            }
        }
        return new GatewayReply.Refused(Running(near.GenerationId));
    }

    /// <summary>The reply to a repetition of a request that the database knows.</summary>
    private async ValueTask<GatewayReply> RepeatAsync(GatewayCall call, byte[] hash, BoundKey known, CancellationToken cancellationToken)
    {
        if (!hash.AsSpan().SequenceEqual(known.RequestHash)) return new GatewayReply.Refused(Reused());
        if (known.Status != 0)
        {
            return known.Body is { } body
                ? new GatewayReply.Replayed(known.GenerationId, known.Status, known.ContentType ?? "application/json", body, known.Broken)
                : new GatewayReply.Refused(Lost(known.GenerationId));
        }
        // A lease beyond the maximum was written by a clock that was set back since.
        var left = known.LeaseUntil - time.GetUtcNow();
        if (left > TimeSpan.Zero && left <= MaxLease) return new GatewayReply.Refused(Running(known.GenerationId));
        // The process died. A job continues elsewhere; how far any other call came is unknown.
        var found = await generations.FindAsync(
            call.Caller.ProjectId, known.GenerationId, GenerationBodies.Result, call.Body.Count, cancellationToken);
        return found is { } job
            ? new GatewayReply.ReplayedJob(job)
            : new GatewayReply.Refused(Lost(known.GenerationId));
    }

    // Not copied if it is a whole array already.
    private static byte[] ArrayOf(ReadOnlyMemory<byte> body)
    {
        var isWhole = MemoryMarshal.TryGetArray(body, out var part) && part.Offset == 0 && part.Count == part.Array!.Length;
        return isWhole ? part.Array! : body.ToArray();
    }

    private static GatewayError Reused() =>
        new(ErrorCode.IdempotencyConflict, "This Idempotency-Key was sent with another request before.") { Parameter = "Idempotency-Key" };

    private static GatewayError Running(string generationId) =>
        new(ErrorCode.IdempotencyInProgress, $"The request of this Idempotency-Key is still in progress as {generationId}.")
    {
        Parameter = "Idempotency-Key",
        RetryAfter = TimeSpan.FromSeconds(1),
        Details = new() { ["generation_id"] = generationId },
    };

    private static GatewayError Lost(string generationId) => new(
        ErrorCode.InternalError,
        $"The request of this Idempotency-Key was in progress as {generationId} when its process stopped; its response is lost.")
    {
        Remedy = "It may have run and been charged, so it was not run again. Send another Idempotency-Key to run it again.",
        Details = new() { ["generation_id"] = generationId },
    };
}
