using Fairlead.Streaming;

namespace Fairlead.Dialects;

/// <summary>Finds what the stages need in native events, without deserializing them. One per stream; not thread-safe.</summary>
internal abstract class NativeStreamScanner
{
    /// <summary>The bytes that replace the last scanned event, where it had to be repaired; null when it is forwarded unchanged.</summary>
    public byte[]? Repaired { get; protected set; }

    /// <summary>Whether a choice has started and not ended.</summary>
    public virtual bool HasOpenChoice => false;

    /// <summary>
    /// The events to use instead of one of the provider's, where it violates the dialect; null when it is forwarded unchanged.
    /// </summary>
    /// <exception cref="Memory.MemoryExhaustedException">The scanner must keep some of it, and there is no memory for that.</exception>
    public virtual IReadOnlyList<(byte[] Name, byte[] Data)>? Normalise(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data) => null;

    /// <summary>Scans one event and updates the meter.</summary>
    /// <param name="eventName">Name of the event; empty where the dialect has none.</param>
    /// <param name="data">The joined data lines.</param>
    /// <param name="error">The provider's error when this is its error event; the stream then ends with it.</param>
    /// <returns>
    /// Kind and traits of the event in the batch; null to leave it out (malformed events, which the meter counts, and unknown comments).
    /// </returns>
    public abstract (int Kind, NativeEventTraits Traits)? Scan(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data,
        out UpstreamError? error);
}
