using Fairlead.Conversation;
using Fairlead.Memory;
using Fairlead.Storage;
using Fairlead.Streaming;

namespace Fairlead.Generations.Events;

/// <summary>
/// All events of a stored generation from the first on, on whichever node it runs, and also if one run follows another. Ends when the
/// generation has ended; then <see cref="Record"/> has its end. For one reader.
/// </summary>
internal sealed class KeptEventSource(
    IGenerationStore store,
    GenerationEventStore stored,
    RunningGenerations running,
    GenerationFollowers followers,
    MemoryBudget memory,
    GenerationRecord record) : IEventSource
{
    private readonly string _projectId = record.ProjectId;
    private readonly string _id = record.Id;
    private GenerationFollowers.Following? _following;
    private IEventSource? _log;
    private int _position;
    private int _emptyReads;

    // The result of the generation, and the events of the batch that the reader has.
    private readonly MemoryLease _result = new(memory);
    private readonly MemoryLease _events = new(memory);

    /// <summary>The generation as it was last read; null if it is gone.</summary>
    public GenerationRecord? Record { get; private set; } = record;

    /// <summary>Waits until the generation has started, or ended without a run. Returns it; null if it is gone.</summary>
    public async ValueTask<GenerationRecord?> WaitForStartAsync(CancellationToken cancellationToken)
    {
        while (Record is { IsFinal: false, StartedAt: null })
        {
            _log ??= Open();
            if (_following is { } following) await following.Started.WaitAsync(cancellationToken);
            Record = await ReadRecordAsync(cancellationToken);
        }
        return Record;
    }

    private ValueTask<GenerationRecord?> ReadRecordAsync(CancellationToken cancellationToken) =>
        WhenStoreRespondsAsync(static (source, token) => source.ReadRecordOnceAsync(token), cancellationToken);

    // The result is read only of a generation that has ended.
    private async ValueTask<GenerationRecord?> ReadRecordOnceAsync(CancellationToken cancellationToken)
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
            catch (Exception error) when (StorageErrors.IsStoreError(error))
            {
                await followers.PauseAsync(error, cancellationToken);
            }
        }
    }

    /// <exception cref="MemoryExhaustedException">The process has no memory for the next events, or for the result.</exception>
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
                // The log has only the newest events; all of them are in the database.
                Close();
                await ReadKeptAsync(batch, cancellationToken);
                if (batch.Items.Count > 0) return true;
            }
            var known = Record;
            Record = await ReadRecordAsync(cancellationToken);
            if (Record is null && known is { IsFinal: true })
            {
                // It expired while it was read. What is still in the database is read to the end.
                Close();
                await ReadKeptAsync(batch, cancellationToken);
                if (batch.Items.Count > 0 || _position >= known.EventCount) Record = known;
                return batch.Items.Count > 0;
            }
            if (Record is null || (Record.IsFinal && _position >= Record.EventCount)) return false;
            // Events that cannot be read would be tried again without end.
            if (following?.Failure is MemoryExhaustedException exhausted) throw new MemoryExhaustedException(exhausted.Error);
            if (following?.Failure is { } failure) throw new InvalidDataException("The stored events of the generation cannot be read.", failure);
            if (Record.IsFinal && following is not null && _position == before && ++_emptyReads > 1)
            {
                throw new InvalidDataException("Stored events of the generation are missing.");
            }
            // The run has ended and the generation has not, or it has more events.
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
        // A first run on this node has all events in memory.
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
