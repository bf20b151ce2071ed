using Fairlead.Streaming;

namespace Fairlead.Dialects;

/// <summary>
/// Leaves out of the native events of another run what a client already has, and gives the rest the ids that the client knows. One per run;
/// not thread-safe.
/// </summary>
internal abstract class NativeReplay
{
    /// <summary>Adds to <paramref name="output"/> what is new. Whether the run differs, the comparison knows.</summary>
    /// <param name="data">The event.</param>
    /// <param name="kind">Its kind, from the scanner.</param>
    /// <param name="traits">Its traits, from the scanner.</param>
    /// <param name="output">Receives events.</param>
    public abstract void Take(ReadOnlySpan<byte> data, int kind, NativeEventTraits traits, EventBatch output);
}
