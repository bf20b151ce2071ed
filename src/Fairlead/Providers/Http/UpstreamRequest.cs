namespace Fairlead.Providers.Http;

/// <summary>
/// A request that knows its key, and records when its new connection was ready. The pool may use another connection that becomes free first.
/// </summary>
internal sealed class UpstreamRequest(Uri uri) : HttpRequestMessage(HttpMethod.Post, uri)
{
    private long _connectedAt;

    /// <summary>The key with which it is sent; null for none.</summary>
    public UpstreamKey? Key { get; set; }

    /// <summary>Timestamp; 0 while there is no new connection. Thread-safe.</summary>
    public long ConnectedAt
    {
        get => Volatile.Read(ref _connectedAt);
        set => Volatile.Write(ref _connectedAt, value);
    }
}
