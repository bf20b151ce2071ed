using Fairlead.Delivery;

namespace Fairlead.Idempotency;

/// <summary>A generation under way on this node that a key is bound to, or is about to be. Thread-safe, but for <see cref="Concluded"/>.</summary>
internal sealed class IdempotentRun(string projectId, string key, string generationId, byte[] requestHash, bool streams, Memory.MemoryBudget? memory = null)
{
    private readonly TaskCompletionSource<bool> _bound = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string ProjectId { get; } = projectId;

    public string Key { get; } = key;

    public string GenerationId { get; } = generationId;

    public byte[] RequestHash { get; } = requestHash;

    /// <summary>What its client gets, for those who join; null when the answer comes in one body.</summary>
    public ReplayLog? Log { get; } = streams ? new ReplayLog(memory: memory) : null;

    /// <summary>Set once its outcome is stored, or the key is free again.</summary>
    public bool Concluded { get; set; }

    /// <summary>Ends when the database has said whether the key is bound to this run. Fails when it could not be asked.</summary>
    public Task<bool> Bound => _bound.Task;

    /// <summary>Ends when the run is known to this node no more: its outcome is stored, or its key is free.</summary>
    public Task Left => _left.Task;

    public void SetBound(bool isBound) => _bound.TrySetResult(isBound);

    public void SetBound(Exception failure)
    {
        _bound.TrySetException(failure);
        // Often nobody waits for it.
        _ = _bound.Task.Exception;
    }

    public void SetLeft() => _left.TrySetResult();
}
