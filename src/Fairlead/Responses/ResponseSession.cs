using Fairlead.Memory;

namespace Fairlead.Responses;

/// <summary>
/// The responses with <c>store: false</c> of one connection, so that later requests on it can continue them. Limited by bytes; the oldest
/// are dropped first. Used by one turn at a time.
/// </summary>
/// <param name="memory">Counts the responses; when it is used up, fewer are kept. Null to count nothing.</param>
internal sealed class ResponseSession(MemoryBudget? memory = null) : IDisposable
{
    private const long MaxBytes = 32 * 1024 * 1024;

    private readonly Dictionary<string, StoredResponse> _byId = new(StringComparer.Ordinal);
    private readonly Queue<string> _order = new();
    private readonly MemoryLease _lease = new(memory);
    private long _bytes;

    public StoredResponse? Find(string id) => _byId.GetValueOrDefault(id);

    /// <summary>False if there is no memory for it, even after all earlier ones were dropped.</summary>
    public bool TryKeep(StoredResponse response)
    {
        if (_byId.ContainsKey(response.Id)) return true;
        var size = SizeOf(response);
        while (!_lease.TryTake(size))
        {
            if (_order.Count == 0) return false;
            DropOldest();
        }
        _byId[response.Id] = response;
        _order.Enqueue(response.Id);
        _bytes += size;
        while (_bytes > MaxBytes && _order.Count > 1) DropOldest();
        return true;
    }

    public void Dispose() => _lease.Dispose();

    private void DropOldest()
    {
        if (!_byId.Remove(_order.Dequeue(), out var oldest)) return;
        _bytes -= SizeOf(oldest);
        _lease.Return(SizeOf(oldest));
    }

    private static long SizeOf(StoredResponse response) => response.Response.Length + response.Input.Length + response.Output.Length;
}
