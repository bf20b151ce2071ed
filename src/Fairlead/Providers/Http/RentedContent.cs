using System.Net;

namespace Fairlead.Providers.Http;

/// <summary>
/// A request body on rented memory that knows when it is no longer read. Over HTTP/2 an answer may come while its request is still being
/// sent; memory that went back to the pool then would carry another caller's text to the provider. Thread-safe.
/// </summary>
internal sealed class RentedContent(ReadOnlyMemory<byte> body) : HttpContent
{
    private readonly Lock _gate = new();
    private TaskCompletionSource? _unread;
    private int _readers;
    private bool _released;
    private bool _begun;

    /// <summary>Whether a connection was there and the sending began. Until then the provider has seen nothing.</summary>
    public bool Begun => Volatile.Read(ref _begun);

    /// <summary>Told when the sending begins, for who waits for the connection.</summary>
    public Action? Beginning { get; set; }

    /// <summary>Done when nobody reads the memory; from then on nobody begins to.</summary>
    public Task ReleaseAsync()
    {
        lock (_gate)
        {
            _released = true;
            if (_readers == 0) return Task.CompletedTask;
            return (_unread ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_released) throw new IOException("The request is over; its body is not sent again.");
            _readers++;
        }
        Volatile.Write(ref _begun, true);
        Beginning?.Invoke();
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
