namespace Fairlead.Idempotency;

/// <summary>A generation under way on this node that a key is bound to.</summary>
internal sealed class IdempotentRun(string projectId, string key, string generationId, byte[] requestHash, bool streams, Memory.MemoryBudget? memory = null)
{
    public string ProjectId { get; } = projectId;

    public string Key { get; } = key;

    public string GenerationId { get; } = generationId;

    public byte[] RequestHash { get; } = requestHash;

    /// <summary>What its client gets, for those who join; null when the answer comes in one body.</summary>
    public ReplayLog? Log { get; } = streams ? new ReplayLog(memory: memory) : null;

    /// <summary>Set once its outcome is stored, or the key is free again.</summary>
    public bool Concluded { get; set; }
}
