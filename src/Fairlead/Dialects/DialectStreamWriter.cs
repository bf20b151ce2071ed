using System.Buffers;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects;

/// <summary>
/// Writes event batches as the bytes of a stream and numbers the events. One per reader; not thread-safe. Everything that one call gets
/// leaves in one flush.
/// </summary>
internal abstract class DialectStreamWriter
{
    /// <summary>Writes the start of a stream that <see cref="IStreamResponses.CommitsAtAcceptance"/>, before any other event.</summary>
    public virtual void WriteStart(IBufferWriter<byte> output)
    {
    }

    /// <summary>
    /// Writes the events of <paramref name="batch"/>. Events that depend on the end of the call (finish, usage, last event) wait for
    /// <see cref="WriteEnd"/>.
    /// </summary>
    public abstract void Write(EventBatch batch, IBufferWriter<byte> output);

    /// <summary>
    /// Called before <see cref="WriteEnd"/>, after <see cref="GatewayCall.Ending"/> is set. Stores what the client may ask for later.
    /// </summary>
    public virtual ValueTask PrepareEndAsync() => default;

    /// <summary>
    /// Ends the stream as <see cref="GatewayCall.Ending"/> requires. After success: the delayed events, the final metadata and the
    /// dialect's end mark. After an error: the dialect's error event and no end mark; the delivery then aborts the connection where a
    /// clean end would look like success.
    /// </summary>
    public abstract void WriteEnd(IBufferWriter<byte> output);
}
