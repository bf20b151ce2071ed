using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Erasure;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Policies.Checking;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>Reads, waits for and cancels generations. A key sees those of its project. Thread-safe.</summary>
internal sealed class GenerationEndpoints(
    IStorage storage,
    IGenerationStore store,
    GenerationEndFactory ends,
    JobCalls calls,
    GenerationWriter writer,
    KeptStreams streams,
    DrainState drain,
    MemoryBudget memory,
    PlaceholderShelf shelf,
    TimeProvider time,
    IAuditedCalls? audited = null,
    IErasedGenerations? erased = null)
{
    private const int MaxWaitSeconds = 60;

    // Notifications may be lost, so the row itself is read from time to time.
    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    public async Task<EndpointResult> GetAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query, "wait");
        var wait = query.Integer("wait", 0, MaxWaitSeconds, 0);
        if (query.Error is { } error) return error;
        return await AwaitAsync(request.Caller, request.Id, wait, request.Cancellation) is { } record
            ? await ResultAsync(request, record, isUnfinished: !record.IsFinal)
            : await AuditedAsync(request);
    }

    /// <summary>The stored response, with the status and the bytes that the client would have received.</summary>
    public async Task<EndpointResult> ResultAsync(EndpointRequest request)
    {
        var query = new QueryReader(request.Query, "wait");
        var wait = query.Integer("wait", 0, MaxWaitSeconds, 0);
        if (query.Error is { } error) return error;
        if (await AwaitAsync(request.Caller, request.Id, wait, request.Cancellation) is not { } known) return await WithoutContentAsync(request);
        if (!known.IsFinal)
        {
            EndpointResult conflict = new GatewayError(ErrorCode.Conflict,
                $"The generation is {known.Status.ToWire()} and has no result yet.")
            {
                Remedy = "Ask again after Retry-After, or with ?wait=60.",
            };
            return conflict.WithHeader("Retry-After", "1");
        }
        var held = Hold(request);
        if (await FindWithResultAsync(request, held) is not { } record) return await WithoutContentAsync(request);
        var type = record.ResultStatus < 400 ? "application/json" : ErrorBodyWriter.ContentTypeOf(calls.ShapeOf(record.Dialect));
        ReadOnlyMemory<byte> body = record.Result;
        if (shelf.Find(record.Id, request.Caller.KeyId) is { } originals) body = originals.Restore(body.Span);
        return EndpointResult.Bytes(type, body, record.ResultStatus).WithHeader("Fairlead-Generation", record.Id);
    }

    /// <summary>The stream of its events, from any event on.</summary>
    public async Task<EndpointResult> EventsAsync(EndpointRequest request)
    {
        if (new QueryReader(request.Query, "after").Error is { } error) return error;
        var (after, invalid) = KeptStreams.AfterOf(request, "after");
        if (invalid is not null) return invalid;
        GenerationRecord? record;
        GatewayCall? call;
        // Until the call counts the memory that it holds.
        using (var held = new MemoryLease(memory.ShareOf(request.Caller.KeyId)))
        {
            record = await store.FindAsync(
                request.Caller.ProjectId, request.Id, GenerationBodies.Request, held.Count, request.Cancellation);
            call = record is null ? null : calls.ViewOf(record, request.Caller);
        }
        if (record is null || call is null) return await WithoutContentAsync(request);
        if (call.Body is { } body) request.DisposeAfterResponse(body);
        return new KeptStreamResult(streams, call, record with { Request = [] }, new TypedEventsView(call, record), after);
    }

    public async Task<EndpointResult> CancelAsync(EndpointRequest request)
    {
        var (project, id) = (request.Caller.ProjectId, request.Id);
        // What has ended stays as it is, also if only its record is left.
        if (await store.FindAsync(project, id, request.Cancellation) is not { } record) return await AuditedAsync(request);
        var (outcome, error) = CallOutcome.Of(CancellationReason.Requested);
        var before = await store.CancelAsync(project, id, ends.WithoutRun(record, outcome, error), CancellationToken.None);
        if (before is null) return await AuditedAsync(request);
        if (before == GenerationStatus.Queued) storage.Notifier.Announce(JobNotices.Changed, id);
        if (before == GenerationStatus.InProgress) storage.Notifier.Announce(JobNotices.Cancel, id);
        return await store.FindAsync(project, id, request.Cancellation) is { } now
            ? await ResultAsync(request, now, isUnfinished: false)
            : await AuditedAsync(request);
    }

    private async Task<GenerationRecord?> AwaitAsync(Caller caller, string id, int seconds, CancellationToken cancellationToken)
    {
        var since = time.GetTimestamp();
        var notified = new AsyncSignal();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, drain.Over);
        using var notifications = seconds > 0 ? storage.Notifier.Subscribe(JobNotices.Changed, subject =>
        {
            if (subject is null || subject == id) notified.Set();
        }) : null;
        while (true)
        {
            var changed = notified.Next;
            // Without its bodies, which may be large and are read once it has ended.
            var record = await store.FindAsync(caller.ProjectId, id, cancellationToken);
            var left = TimeSpan.FromSeconds(seconds) - time.GetElapsedTime(since);
            if (record is null || record.IsFinal || left <= TimeSpan.Zero || drain.Over.IsCancellationRequested) return record;
            try
            {
                await changed.WaitAsync(left < PollInterval ? left : PollInterval, time, stop.Token);
            }
            catch (TimeoutException)
            {
                // Read the row again.
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // This process stops and runs no generation any more. The last read is the response.
            }
        }
    }

    /// <summary>The generation as JSON, with its result.</summary>
    /// <exception cref="MemoryExhaustedException">There is no memory for the result.</exception>
    private async Task<EndpointResult> ResultAsync(EndpointRequest request, GenerationRecord known, bool isUnfinished)
    {
        var held = Hold(request);
        // It has expired between the two reads.
        if (await FindWithResultAsync(request, held) is not { } record) return await AuditedAsync(request);
        // The details as an object again, and as they are written.
        held.Count(2L * (record.Details?.Length ?? 0));
        var result = EndpointResult.Body("application/json", length: null, async (output, cancellationToken) =>
        {
            if (shelf.Find(record.Id, request.Caller.KeyId) is { } originals)
            {
                var whole = new System.Buffers.ArrayBufferWriter<byte>();
                await writer.WriteAsync(whole, record, cancellationToken);
                originals.Restore(whole.WrittenSpan, output);
            }
            else
            {
                await writer.WriteAsync(output, record, cancellationToken);
            }
            await output.FlushAsync(cancellationToken);
        }).WithHeader("Fairlead-Generation", record.Id);
        return isUnfinished ? result.WithHeader("Retry-After", "1") : result;
    }

    /// <summary>A call that is not stored as a generation, or not any more, as its audit record shows it.</summary>
    private async Task<EndpointResult> AuditedAsync(EndpointRequest request)
    {
        var found = await FindAuditedAsync(request);
        if (found.Call is not { } call || await IsErasedAsync(request, withRecord: true)) return await MissingAsync(request, found);
        return EndpointResult.Json(json => AuditedGeneration.Write(json, call.Json, request.Site))
            .WithHeader("Fairlead-Generation", request.Id);
    }

    private async Task<EndpointResult> WithoutContentAsync(EndpointRequest request)
    {
        var found = await FindAuditedAsync(request);
        return found.Call is null || await IsErasedAsync(request) ? await MissingAsync(request, found)
            : new GatewayError(ErrorCode.ResultExpired, $"The content of the generation '{request.Id}' is not stored: it has expired, or was not kept.");
    }

    /// <summary>Whether it was there once and was erased: its client should not wait for it any longer.</summary>
    private async Task<GatewayError> MissingAsync(EndpointRequest request, AuditedLookup lookup) => await IsErasedAsync(request)
        ? new GatewayError(ErrorCode.ResultExpired, $"The generation '{request.Id}' was erased at the request of an administrator.")
        {
            Remedy = "It cannot be restored. Send the request again if you still need a response.",
        }
        : Missing(request.Id, lookup);

    private async Task<bool> IsErasedAsync(EndpointRequest request, bool withRecord = false) =>
        erased is not null && await erased.ContainsAsync(request.Caller.ProjectId, request.Id, withRecord, request.Cancellation);

    private Task<AuditedLookup> FindAuditedAsync(EndpointRequest request) => audited is null
        ? Task.FromResult(new AuditedLookup(null, true))
        : audited.FindAsync(request.Caller.ProjectId, request.Id, request.Cancellation);

    // The database may not have a call yet that this server has ended: then nobody can say that there is none.
    private static GatewayError Missing(string id, AuditedLookup lookup) => lookup.IsCertain ? NotFound(id) : NotUpToDate();

    internal static GatewayError NotUpToDate() =>
        new(ErrorCode.StoreUnavailable, "The database is slow and does not have the latest calls of this server yet.")
        {
            RetryAfter = TimeSpan.FromSeconds(5),
        };

    private Task<GenerationRecord?> FindWithResultAsync(EndpointRequest request, MemoryLease held) =>
        store.FindAsync(request.Caller.ProjectId, request.Id, GenerationBodies.Result, held.Count, request.Cancellation);

    private MemoryLease Hold(EndpointRequest request) =>
        request.DisposeAfterResponse(new MemoryLease(memory.ShareOf(request.Caller.KeyId)));

    private static GatewayError NotFound(string id) => new(ErrorCode.NotFound, id.Length is > 0 and <= 64
        ? $"There is no generation '{id}'; it has not ended yet and is not stored, or its record has expired."
        : "There is no such generation.");
}
