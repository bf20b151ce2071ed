namespace Fairlead.Responses;

/// <summary>
/// What a connection knows of the responses that were made on it and are kept nowhere else (<c>store: false</c>), so that the next one can go on from them. Gone with the
/// connection. Bounded: the oldest go first. Used by one turn at a time.
/// </summary>
internal sealed class ResponseSession
{
    private const long MaxBytes = 32 * 1024 * 1024;

    private readonly Dictionary<string, StoredResponse> _byId = new(StringComparer.Ordinal);
    private readonly Queue<string> _order = new();
    private long _bytes;

    public StoredResponse? Find(string id) => _byId.GetValueOrDefault(id);

    public void Keep(StoredResponse response)
    {
        if (!_byId.TryAdd(response.Id, response)) return;
        _order.Enqueue(response.Id);
        _bytes += SizeOf(response);
        while (_bytes > MaxBytes && _order.Count > 1 && _byId.Remove(_order.Dequeue(), out var oldest)) _bytes -= SizeOf(oldest);
    }

    private static long SizeOf(StoredResponse response) => response.Response.Length + response.Input.Length + response.Output.Length;
}
