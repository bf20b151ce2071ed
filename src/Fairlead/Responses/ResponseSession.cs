using Fairlead.Memory;

namespace Fairlead.Responses;

/// <summary>
/// What a connection knows of the responses that were made on it and are kept nowhere else (<c>store: false</c>), so that the next one can go on from them. Gone with the
/// connection. Bounded: the oldest go first. Used by one turn at a time.
/// </summary>
/// <param name="memory">Counts what it holds; used up, it holds less. Null for nothing.</param>
internal sealed class ResponseSession(MemoryBudget? memory = null) : IDisposable
{
    private const long MaxBytes = 32 * 1024 * 1024;

    private readonly Dictionary<string, StoredResponse> _byId = new(StringComparer.Ordinal);
    private readonly Queue<string> _order = new();
    private readonly MemoryLease _lease = new(memory);
    private long _bytes;

    public StoredResponse? Find(string id) => _byId.GetValueOrDefault(id);

    /// <summary>False when there is no memory for it, even without all earlier ones.</summary>
    public bool TryKeep(StoredResponse response)
    {
        if (_byId.ContainsKey(response.Id)) return true;
        var size = SizeOf(response);
        while (!_lease.TryTake(size))
        {
            if (_order.Count == 0) return false;
            LetGo();
        }
        _byId[response.Id] = response;
        _order.Enqueue(response.Id);
        _bytes += size;
        while (_bytes > MaxBytes && _order.Count > 1) LetGo();
        return true;
    }

    public void Dispose() => _lease.Dispose();

    private void LetGo()
    {
        if (!_byId.Remove(_order.Dequeue(), out var oldest)) return;
        _bytes -= SizeOf(oldest);
        _lease.Return(SizeOf(oldest));
    }

    private static long SizeOf(StoredResponse response) => response.Response.Length + response.Input.Length + response.Output.Length;
}
