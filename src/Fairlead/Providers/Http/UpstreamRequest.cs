namespace Fairlead.Providers.Http;

/// <summary>A request that learns when the connection made for it was ready. The pool may serve it by another one that comes free meanwhile.</summary>
internal sealed class UpstreamRequest(Uri uri) : HttpRequestMessage(HttpMethod.Post, uri)
{
    private long _connectedAt;

    /// <summary>Timestamp; 0 while there is no new connection. Thread-safe.</summary>
    public long ConnectedAt
    {
        get => Volatile.Read(ref _connectedAt);
        set => Volatile.Write(ref _connectedAt, value);
    }
}
