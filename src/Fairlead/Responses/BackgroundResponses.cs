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
/// Responses made in the background, seen as their dialect shows them: each is a generation with the same letters behind its prefix. What is not
/// one of the caller's project, or was not made in the background, is null. What is read is counted in a lease of the caller's, which it keeps until it has sent it. Thread-safe.
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
    /// <summary>How long a cancelling waits for the run to notice; beyond that the response is shown as it stands.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(500);

    /// <summary>The Response object as it stands.</summary>
    public async Task<byte[]?> GetAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return null;
        using var run = found.Run;
        if (found.Record.Status != GenerationStatus.InProgress) return ResponsesView.Show(run.Call, found.Record);
        var events = new List<GenerationEvent>();
        while (await stored.ReadAsync(found.Record.Id, events.Count, held.Count, cancellationToken) is { Count: > 0 } more) events.AddRange(more);
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

    /// <summary>Items of the input, each with an id: a JSON array.</summary>
    public async Task<byte[]?> InputAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return null;
        using var run = found.Run;
        return StoredInput.Of(run.Call);
    }

    public async Task<bool> IsUnderWayAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return false;
        found.Run.Dispose();
        return !found.Record.IsFinal;
    }

    /// <summary>Forgets one that has ended.</summary>
    public async Task<bool> ForgetAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (await FindAsync(caller, id, held, cancellationToken) is not { } found) return false;
        found.Run.Dispose();
        return await deletion.DeleteAsync(caller.ProjectId, found.Record.Id, cancellationToken);
    }

    /// <summary>Stops it if it has not ended, and shows it; a second time shows the same again.</summary>
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
        var before = await generations.CancelAsync(caller.ProjectId, record.Id, ends.WithoutRun(record, outcome, error), CancellationToken.None);
        if (before == GenerationStatus.Queued) storage.Notifier.Announce(JobNotices.Changed, record.Id);
        if (before == GenerationStatus.InProgress) storage.Notifier.Announce(JobNotices.Cancel, record.Id);
        var since = time.GetTimestamp();
        while (await generations.FindAsync(caller.ProjectId, record.Id, cancellationToken) is { } now)
        {
            record = now;
            if (now.IsFinal || time.GetElapsedTime(since) >= LongestWait) break;
            await ended.Task.WaitAsync(Look, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
            // A notice that came too early (the run has begun) must not make this loop spin.
            if (ended.Task.IsCompleted) ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        return await generations.FindAsync(caller.ProjectId, record.Id, GenerationBodies.Result, held.Count, cancellationToken) is { } last ? ResponsesView.Show(run.Call, last) : null;
    }

    private async Task<(GenerationRecord Record, GenerationRun Run)?> FindAsync(Caller caller, string id, MemoryLease held, CancellationToken cancellationToken)
    {
        if (!id.StartsWith(ResponseIds.Prefix, StringComparison.Ordinal)) return null;
        var record = await generations.FindAsync(caller.ProjectId, string.Concat("gen_", id.AsSpan(ResponseIds.Prefix.Length)), GenerationBodies.Request | GenerationBodies.Result, held.Count, cancellationToken);
        if (record is null || calls.DialectOf(record) is not { Background: { } background } dialect) return null;
        // Read again as its run reads it, for what the response repeats of its request.
        var (run, _) = calls.RunOf(record, dialect, caller);
        if (run is null) return null;
        if (background.IsBackground(run.Call)) return (record, run);
        run.Dispose();
        return null;
    }
}
