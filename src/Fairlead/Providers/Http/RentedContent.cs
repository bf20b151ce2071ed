using System.Net;

namespace Fairlead.Providers.Http;

/// <summary>
/// A request body in rented memory that reports when it is no longer read. Over HTTP/2 a response may arrive while its request is still
/// being sent; if the memory returned to the pool then, the provider would receive another caller's text. Thread-safe.
/// </summary>
internal sealed class RentedContent(ReadOnlyMemory<byte> body) : HttpContent
{
    private readonly Lock _gate = new();
    private TaskCompletionSource? _unread;
    private int _readers;
    private bool _released;
    private bool _begun;

    /// <summary>Whether the connection was ready and sending started. Until then the provider has received nothing.</summary>
    public bool Begun => Volatile.Read(ref _begun);

    /// <summary>Signals that sending has started, for code that waits for the connection.</summary>
    public Action? SendStarting { get; set; }

    /// <summary>Completed when the memory is no longer read; no read starts after that.</summary>
    public Task ReleaseAsync()
    {
        lock (_gate)
        {
            _released = true;
            if (_readers == 0) return Task.CompletedTask;
            return (_unread ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_released) throw new IOException("The request has ended; its body cannot be sent again.");
            _readers++;
        }
        Volatile.Write(ref _begun, true);
        SendStarting?.Invoke();
        try
        {
            await stream.WriteAsync(body, cancellationToken);
        }
        finally
        {
            TaskCompletionSource? unread;
            lock (_gate)
            {
                _readers--;
                unread = _readers == 0 ? _unread : null;
            }
            unread?.TrySetResult();
        }
    }

    protected override bool TryComputeLength(out long length)
    {
        length = body.Length;
        return true;
    }
}
