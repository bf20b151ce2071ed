using System.Buffers;
using Fairlead.Streaming;

namespace Fairlead.Delivery;

/// <summary>
/// Takes the events of one streamed response: they are written to <see cref="Buffer"/>, in whole events, and leave with
/// <see cref="FlushAsync"/>. One writer at a time; only <see cref="CancelPendingFlush"/> may be called from another thread.
/// </summary>
internal interface IEventOutput
{
    /// <summary>The format of what is written to <see cref="Buffer"/>.</summary>
    EventFormat Format { get; }

    IBufferWriter<byte> Buffer { get; }

    /// <summary>Whether something was written since the last flush.</summary>
    bool HasUnflushed { get; }

    /// <summary>A comment that keeps a quiet connection open; empty for a transport that does this itself.</summary>
    ReadOnlyMemory<byte> KeepAlive { get; }

    /// <summary>Sends what was written. Waits for a slow client. A cancelled flush loses nothing: the next one continues.</summary>
    /// <returns>False once the client is gone.</returns>
    ValueTask<bool> FlushAsync(CancellationToken cancellationToken);

    /// <summary>Ends a flush that waits for the client.</summary>
    void CancelPendingFlush();
}
