using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>What a call leaves behind.</summary>
internal sealed class EmbeddingDeparture
{
    /// <summary>Its own attempt, which goes on without it; null if there is none.</summary>
    public Attempt? Own { get; set; }

    /// <summary>Bytes of the inputs of <see cref="Own"/> that only this call needed; 0 if others needed all of them.</summary>
    public long OwnBytes { get; set; }

    /// <summary>Whether these are all inputs of the call, which the gateway counts as for any call that leaves.</summary>
    public bool OwnIsWhole { get; set; }

    /// <summary>Completes when the calls that pay from now on have a record of that.</summary>
    public List<Task> Recorded { get; } = [];
}
