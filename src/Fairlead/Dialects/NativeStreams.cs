using Fairlead.Memory;
using Fairlead.Streaming;
using Fairlead.Streaming.Verification;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects;

/// <summary>Reads the streams of providers with the API of the client's dialect. Thread-safe.</summary>
internal abstract class NativeStreams
{
    /// <summary>Builds a whole response from such a stream, for stored generations; null when the dialect cannot.</summary>
    public virtual INativeStreamCollector? Collector => null;

    /// <summary>A scanner for one stream.</summary>
    /// <param name="meter">Receives what the stream reports.</param>
    /// <param name="memory">Counts what the scanner keeps; null counts nothing.</param>
    public abstract NativeStreamScanner CreateScanner(OutputMeter meter, MemoryLease? memory = null);

    /// <summary>
    /// Finds the piece of text, reasoning or arguments in an event, so that it can be merged with others. Returns false for an event that
    /// must be forwarded unchanged. Called only for events in which the scanner found content and no end.
    /// </summary>
    public abstract bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape);

    /// <summary>
    /// Converts a whole response, received although a stream was requested, to the events of a stream. Null when the dialect has no such
    /// form; the response is then translated.
    /// </summary>
    /// <param name="document">The provider's body.</param>
    /// <param name="createdAt">Creation time for events that lack one, in seconds of Unix time.</param>
    public virtual IEnumerable<byte[]>? EventsOf(ReadOnlyMemory<byte> document, long createdAt) => null;

    /// <summary>Whether the writer of a forwarded stream can go on with translated events in the middle of a text.</summary>
    public virtual bool ContinuesTranslated => false;

    /// <summary>
    /// Compares the events of another run with what a client has; null when the dialect cannot, so that its streams are not continued.
    /// </summary>
    /// <param name="replay">The comparison.</param>
    public virtual NativeReplay? CreateReplay(OutputReplay replay) => null;

    /// <summary>The whole response that the last event of a stream contains; null when there is none.</summary>
    public virtual byte[]? WholeOf(ReadOnlySpan<byte> events) => null;
}
