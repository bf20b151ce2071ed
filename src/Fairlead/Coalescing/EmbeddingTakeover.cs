using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>
/// What a call pays of a request whose own call left: the inputs for which it was the next that waited. Guarded by the lock of
/// <see cref="EmbeddingFlights"/>, apart from the members that say so.
/// </summary>
/// <param name="share">The part of the request.</param>
internal sealed class EmbeddingTakeover(EmbeddingShare share)
{
    public EmbeddingShare Share { get; } = share;

    /// <summary>The inputs; after the call has left, without those that it passed on.</summary>
    public List<EmbeddingFlight> Flights { get; } = [];

    /// <summary>Bytes of the inputs, for an estimate while they are computed.</summary>
    public long Bytes { get; set; }

    /// <summary>Bytes of inputs that were in progress when the call left, and that no other call needed.</summary>
    public long AbandonedBytes { get; set; }

    /// <summary>The attempt that stands for it in the call; null until it is recorded. Only for the flow of the call.</summary>
    public Attempt? Attempt { get; set; }

    /// <summary>Whether the spool has a record of its start. Only for the flow of the call.</summary>
    public bool IsOnSpool { get; set; }

    /// <summary>What it costs after the call has left; null if nothing was computed for it.</summary>
    public Usage? UsageFor(EmbeddingWork work)
    {
        if (AbandonedBytes > 0) return EmbeddingWork.Guess(AbandonedBytes);
        Usage? sum = null;
        foreach (var flight in Flights)
        {
            if (flight.Vector is { } vector && ReferenceEquals(flight.Payer, work)) sum = (sum ?? default(Usage)) + vector.Usage;
        }
        return sum;
    }
}
