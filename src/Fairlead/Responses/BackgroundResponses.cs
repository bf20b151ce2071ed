using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Http;
using Fairlead.Memory;
using Fairlead.Pipeline;
using Fairlead.Storage;

namespace Fairlead.Responses;

/// <summary>
/// Background responses in the form of their dialect. Each is a generation with the same ULID in its id. The result is null for a response
/// of another project, or one that is not a background response. The memory of what is read is counted in a lease of the caller, which
/// keeps it until the response is sent. Thread-safe.
/// </summary>
internal sealed class BackgroundResponses(
    IGenerationStore generations,
    GenerationEventStore stored,
    GenerationDeletion deletion,
    IStorage storage,
    JobCalls calls,
    GenerationEndFactory ends,
    KeptStreams streams,
    TimeProvider time)
{
    /// <summary>How long a cancellation waits for the end of the run. After that, the present state of the response is returned.</summary>
    private static readonly TimeSpan CancelTimeout = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>The present state of the Response object.</summary>
    public async Task<byte[]?> GetAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return null;
        using var run = found.Run;
        if (found.Record.Status != GenerationStatus.InProgress) return ResponsesView.Show(run.Call, found.Record);
        var events = new List<GenerationEvent>();
        while (await stored.ReadAsync(found.Record.Id, events.Count, held.Count, cancellationToken) is { Count: > 0 } more)
            events.AddRange(more);
        return ResponsesView.Show(run.Call, found.Record, events);
    }

    /// <summary>Its stream after event <paramref name="after"/>; null if it is not one that can be streamed again.</summary>
    public async Task<EndpointResult?> StreamAsync(EndpointRequest request, string id, long after, MemoryLease held)
    {
        if (await FindAsync(request.Caller, id, held, request.Cancellation) is not { } found) return null;
        found.Run.Dispose();
        if (calls.ViewOf(found.Record, request.Caller) is not { } call) return null;
        if (call.Body is { } body) request.DisposeAfterResponse(body);
        return call.Dialect.StoredStreams is { } stored && stored.IsStored(call)
            ? new KeptStreamResult(streams, call, found.Record, stored.CreateView(call, found.Record), after)
            : null;
    }

    /// <summary>The items of the input, each with an id: a JSON array.</summary>
    public async Task<byte[]?> InputAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return null;
        using var run = found.Run;
        return StoredInput.Of(run.Call);
    }

    public async Task<bool> IsRunningAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return false;
        found.Run.Dispose();
        return !found.Record.IsFinal;
    }

    /// <summary>Deletes a response that has ended.</summary>
    public async Task<bool> ForgetAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return false;
        found.Run.Dispose();
        return await deletion.DeleteAsync(caller.ProjectId, found.Record.Id, cancellationToken);
    }

    /// <summary>Stops the response if it has not ended, and returns it. A second call returns the same.</summary>
    public async Task<byte[]?> CancelAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return null;
        using var run = found.Run;
        var record = found.Record;
        if (record.IsFinal) return ResponsesView.Show(run.Call, record);

        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var notices = storage.Notifier.Subscribe(JobNotices.Changed, subject =>
        {
            if (subject is null || subject == record.Id) ended.TrySetResult();
        });
        var (outcome, error) = CallOutcome.Of(CancellationReason.Requested);
        var before = await generations.CancelAsync(
            caller.ProjectId, record.Id, ends.WithoutRun(record, outcome, error), CancellationToken.None);
        if (before == GenerationStatus.Queued) storage.Notifier.Announce(JobNotices.Changed, record.Id);
        if (before == GenerationStatus.InProgress) storage.Notifier.Announce(JobNotices.Cancel, record.Id);
        var since = time.GetTimestamp();
        while (await generations.FindAsync(caller.ProjectId, record.Id, cancellationToken) is { } now)
        {
            record = now;
            if (now.IsFinal || time.GetElapsedTime(since) >= CancelTimeout) break;
            await ended.Task.WaitAsync(PollInterval, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
            // A notice that came too early (the run has started) must not make this loop spin.
            if (ended.Task.IsCompleted) ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        var last = await generations.FindAsync(caller.ProjectId, record.Id, GenerationBodies.Result, held.Count, cancellationToken);
        return last is null ? null : ResponsesView.Show(run.Call, last);
    }

    private async Task<(GenerationRecord Record, GenerationRun Run)?> FindAsync(
        Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (!id.StartsWith(ResponseIds.Prefix, StringComparison.Ordinal)) return null;
        var generationId = string.Concat("gen_", id.AsSpan(ResponseIds.Prefix.Length));
        var record = await generations.FindAsync(
            caller.ProjectId, generationId, GenerationBodies.Request | GenerationBodies.Result, held.Count, cancellationToken);
        if (record is null || calls.DialectOf(record) is not { Background: { } background } dialect) return null;
        // The request is read again, because the response repeats parts of it.
        var (run, _) = calls.RunOf(record, dialect, caller);
        if (run is null) return null;
        if (background.IsBackground(run.Call)) return (record, run);
        run.Dispose();
        return null;
    }
}
