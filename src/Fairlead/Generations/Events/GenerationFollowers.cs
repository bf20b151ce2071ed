using Fairlead.Conversation;
using Fairlead.Memory;
using Fairlead.Storage;
using Fairlead.Streaming;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations.Events;

/// <summary>
/// Reads new events of generations from the database, once for all readers of this node. Reading stops when the last reader leaves.
/// Thread-safe.
/// </summary>
internal sealed class GenerationFollowers(
    GenerationEventStore store, IStorage storage, EventMemory memory, TimeProvider time, ILogger<GenerationFollowers> logger)
{
    // Notifications may be lost, so the rows are read now and then.
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Follower> _followers = new(StringComparer.Ordinal);

    /// <summary>All events from the first on, until the generation has ended. The reader disposes it.</summary>
    public Following Follow(string id)
    {
        lock (_gate)
        {
            if (!_followers.TryGetValue(id, out var follower))
            {
                _followers[id] = follower = new Follower(id, memory);
                _ = PumpAsync(follower);
            }
            follower.Readers++;
            return new Following(this, follower);
        }
    }

    /// <summary>Logs that the database did not respond and waits before the next try.</summary>
    public Task PauseAsync(Exception error, CancellationToken cancellationToken)
    {
        JobsLog.StoreUnavailable(logger, StorageErrors.Describe(error));
        return Task.Delay(Look, time, cancellationToken);
    }

    private async Task PumpAsync(Follower follower)
    {
        var heard = new AsyncSignal();
        void Hear(string? subject)
        {
            if (subject is null || subject == follower.Id) heard.Set();
        }
        using var events = storage.Notifier.Subscribe(JobNotices.Events, Hear);
        using var ends = storage.Notifier.Subscribe(JobNotices.Changed, Hear);
        var token = follower.Stop.Token;
        var position = 0;
        try
        {
            while (true)
            {
                var next = heard.Next;
                try
                {
                    // The status first: if it is final, all events are in the database.
                    var state = await store.StateAsync(follower.Id, token);
                    while (true)
                    {
                        // Until the log counts what it holds.
                        using var held = memory.Lease();
                        if (await store.ReadAsync(follower.Id, position, held.Count, token) is not { Count: > 0 } read) break;
                        using var batch = new EventBatch();
                        foreach (var made in read) batch.Add(made);
                        position += read.Count;
                        follower.Log.Append(batch);
                    }
                    if (state is not { Status: GenerationStatus.Queued, Events: 0 }) follower.Started.TrySetResult();
                    if (state is null || state.Value.Status is not (GenerationStatus.Queued or GenerationStatus.InProgress)) break;
                }
                catch (Exception exception) when (StorageErrors.IsStoreError(exception))
                {
                    JobsLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
                }
                await next.WaitAsync(Look, time, token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                token.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // The last reader left.
        }
        catch (MemoryExhaustedException exhausted)
        {
            // Its readers end with `overloaded`. The next reader starts again.
            follower.Failure = exhausted;
        }
        catch (Exception exception)
        {
            // Its readers fail too; otherwise they would read the same rows again.
            follower.Failure = exception;
            JobsLog.EventsUnreadable(logger, follower.Id, exception);
        }
        finally
        {
            follower.Started.TrySetResult();
            follower.Log.Complete();
        }
    }

    private void Leave(Follower follower)
    {
        lock (_gate)
        {
            if (--follower.Readers > 0) return;
            _followers.Remove(follower.Id);
        }
        follower.Stop.Cancel();
        follower.Stop.Dispose();
    }

    internal sealed class Follower(string id, EventMemory memory)
    {
        public string Id { get; } = id;

        public EventLog Log { get; } = new(EventMemory.MaxBytesOfLog, memory);

        /// <summary>Completes when the generation has started or ended.</summary>
        public TaskCompletionSource Started { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public CancellationTokenSource Stop { get; } = new();

        public int Readers { get; set; }

        /// <summary>Why its events cannot be read; set before its log ends.</summary>
        public Exception? Failure { get; set; }
    }

    /// <summary>The subscription of one reader.</summary>
    internal sealed class Following(GenerationFollowers owner, Follower follower) : IDisposable
    {
        private bool _left;

        public EventLog Log => follower.Log;

        /// <summary>Why its events cannot be read; null if they can.</summary>
        public Exception? Failure => follower.Failure;

        /// <summary>Completes when the generation has started or ended.</summary>
        public Task Started => follower.Started.Task;

        public void Dispose()
        {
            if (_left) return;
            _left = true;
            owner.Leave(follower);
        }
    }
}
