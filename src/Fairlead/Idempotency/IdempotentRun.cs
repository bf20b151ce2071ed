using Fairlead.Delivery;

namespace Fairlead.Idempotency;

/// <summary>
/// A generation on this node to which a key is bound, or will be if the database agrees. Thread-safe, except <see cref="Concluded"/>.
/// </summary>
internal sealed class IdempotentRun(
    string projectId,
    string key,
    string generationId,
    byte[] requestHash,
    bool streams,
    Memory.MemoryBudget? memory = null)
{
    private readonly TaskCompletionSource<bool> _bound = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string ProjectId { get; } = projectId;

    public string Key { get; } = key;

    public string GenerationId { get; } = generationId;

    public byte[] RequestHash { get; } = requestHash;

    /// <summary>The stream of its client, for requests that join; null if the response is one body.</summary>
    public ReplayLog? Log { get; } = streams ? new ReplayLog(memory: memory) : null;

    /// <summary>Set when its outcome is stored or the key is free again.</summary>
    public bool Concluded { get; set; }

    /// <summary>Completes when it is known whether the key is bound to this run. Fails if the database is unavailable.</summary>
    public Task<bool> Bound => _bound.Task;

    /// <summary>Completes when this node has forgotten the run: its outcome is stored, or its key is free.</summary>
    public Task Left => _left.Task;

    public void SetBound(bool isBound) => _bound.TrySetResult(isBound);

    public void SetBound(Exception failure)
    {
        _bound.TrySetException(failure);
        // Observed here, because often nothing awaits it.
        _ = _bound.Task.Exception;
    }

    public void SetLeft() => _left.TrySetResult();
}
