namespace Fairlead.Providers.Http;

/// <summary>
/// A request that records when its new connection was ready. The pool may use another connection that becomes free first.
/// </summary>
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
