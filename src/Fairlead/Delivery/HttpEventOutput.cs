using System.Buffers;
using System.IO.Pipelines;
using Fairlead.Streaming;

namespace Fairlead.Delivery;

/// <summary>The events of a response as the body of an HTTP response.</summary>
internal sealed class HttpEventOutput(PipeWriter body) : IEventOutput
{
    private static readonly byte[] KeepAliveComment = ": keep-alive\n\n"u8.ToArray();

    public EventFormat Format => EventFormat.ServerSentEvents;

    public IBufferWriter<byte> Buffer => body;

    public bool HasUnflushed => body.UnflushedBytes > 0;

    public ReadOnlyMemory<byte> KeepAlive => KeepAliveComment;

    public async ValueTask<bool> FlushAsync(CancellationToken cancellationToken) => !(await body.FlushAsync(cancellationToken)).IsCompleted;

    public void CancelPendingFlush() => body.CancelPendingFlush();
}
