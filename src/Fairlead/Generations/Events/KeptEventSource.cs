using Fairlead.Conversation;
using Fairlead.Memory;
using Fairlead.Storage;
using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// All events of a kept generation from the first on, wherever it runs, also when one run follows another. Ends when the generation has; then
/// <see cref="Record"/> says how. For one reader.
/// </summary>
internal sealed class KeptEventSource(IGenerationStore store, GenerationEventStore stored, RunningGenerations running, GenerationFollowers followers, MemoryBudget memory, GenerationRecord record) : IEventSource
{
    private readonly string _projectId = record.ProjectId;
    private readonly string _id = record.Id;
    private GenerationFollowers.Following? _following;
    private IEventSource? _log;
    private int _position;
    private int _emptyReads;

    // What came of the generation, and the events that were read for the batch that its reader has.
    private readonly MemoryLease _result = new(memory);
    private readonly MemoryLease _events = new(memory);

    /// <summary>The generation as last read; null once it is no longer kept.</summary>
    public GenerationRecord? Record { get; private set; } = record;

    /// <summary>Waits until work on it has begun, or it has ended without: the generation as it then is; null when it is no longer kept.</summary>
    public async ValueTask<GenerationRecord?> WaitForBeginAsync(CancellationToken cancellationToken)
    {
        while (Record is { IsFinal: false, StartedAt: null })
        {
            _log ??= Open();
            if (_following is { } following) await following.Begun.WaitAsync(cancellationToken);
            Record = await LookAsync(cancellationToken);
        }
        return Record;
    }

    private ValueTask<GenerationRecord?> LookAsync(CancellationToken cancellationToken) =>
        WhenStoreRespondsAsync(static (source, token) => source.LookOnceAsync(token), cancellationToken);

    // Only a generation that has ended needs more than its head.
    private async ValueTask<GenerationRecord?> LookOnceAsync(CancellationToken cancellationToken)
    {
        var head = await store.FindAsync(_projectId, _id, cancellationToken);
        if (head is { IsFinal: false }) return head;
        if (Record is { IsFinal: true, Details: not null }) return Record;
        _result.Return(_result.Held);
        if (head is null) return await store.FindExpiredAsync(_projectId, _id, GenerationBodies.Result, _result.Count, cancellationToken);
        return await store.FindAsync(_projectId, _id, GenerationBodies.Result, _result.Count, cancellationToken);
    }

    private async ValueTask ReadKeptAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        batch.Clear();
        var stored = await WhenStoreRespondsAsync(
            static async (source, token) => await source.ReadStoredOnceAsync(token), cancellationToken);
        foreach (var made in stored) batch.Add(made);
        _position += batch.Items.Count;
    }

    private Task<IReadOnlyList<GenerationEvent>> ReadStoredOnceAsync(CancellationToken cancellationToken) =>
        stored.ReadAsync(_id, _position, _events.Count, cancellationToken);

    // A reader that waits for new events can wait for the database too. Its connection is closed only when it leaves or the server stops.
    private async ValueTask<T> WhenStoreRespondsAsync<T>(
        Func<KeptEventSource, CancellationToken, ValueTask<T>> read, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await read(this, cancellationToken);
            }
            catch (Exception error) when (StorageFaults.IsStoreFault(error))
            {
                await followers.PauseAsync(error, cancellationToken);
            }
        }
    }

    /// <exception cref="MemoryExhaustedException">The process has no memory for the next events, or for what came of the generation.</exception>
    public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
    {
        _events.Return(_events.Held);
        while (true)
        {
            _log ??= Open();
            var following = _following;
            var before = _position;
            try
            {
                if (await _log.ReadAsync(batch, cancellationToken))
                {
                    _position += batch.Items.Count;
                    return true;
                }
            }
            catch (EventsNoLongerKeptException)
            {
                // Memory holds the last of them; all are in the database.
                Close();
                await ReadKeptAsync(batch, cancellationToken);
                if (batch.Items.Count > 0) return true;
            }
            var known = Record;
            Record = await LookAsync(cancellationToken);
            if (Record is null && known is { IsFinal: true })
            {
                // Its time ended while it was read. What is still kept of it is read to the end.
                Close();
                await ReadKeptAsync(batch, cancellationToken);
                if (batch.Items.Count > 0 || _position >= known.EventCount) Record = known;
                return batch.Items.Count > 0;
            }
            if (Record is null || (Record.IsFinal && _position >= Record.EventCount)) return false;
            // To read again what cannot be read would never end.
            if (following?.Failure is MemoryExhaustedException exhausted) throw new MemoryExhaustedException(exhausted.Error);
            if (following?.Failure is { } failure) throw new IOException("The kept events of the generation cannot be read.", failure);
            if (Record.IsFinal && following is not null && _position == before && ++_emptyReads > 1) throw new IOException("Kept events of the generation are missing.");
            // The run that was followed is over and the generation is not, or its last words came after.
            Close();
        }
    }

    public ValueTask DisposeAsync()
    {
        Close();
        _result.Dispose();
        _events.Dispose();
        return ValueTask.CompletedTask;
    }

    private IEventSource Open()
    {
        // What runs here needs no reading back, as long as it is the first run.
        if (running.Find(_id) is { Events: { Start: 0 } events } && !events.Shown.IsCompleted)
        {
            events.Watched = true;
            return events.Shown.Read(_position);
        }
        _following = followers.Follow(_id);
        return _following.Log.Read(_position);
    }

    private void Close()
    {
        _log = null;
        _following?.Dispose();
        _following = null;
    }
}
