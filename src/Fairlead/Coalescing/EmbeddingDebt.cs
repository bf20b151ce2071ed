using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>What a call that left pays for inputs that were in progress.</summary>
/// <param name="source">The attempt that computed them.</param>
internal sealed class EmbeddingDebt(Attempt source)
{
    public Attempt Source { get; } = source;

    /// <summary>Bytes of the inputs that only this call needed; 0 if others needed all of them.</summary>
    public long Bytes { get; set; }

    /// <summary>Whether these are all inputs of the call, which the gateway counts as for any call that leaves.</summary>
    public bool IsWhole { get; set; }
}
