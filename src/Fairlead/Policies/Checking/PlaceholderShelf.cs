using System.Collections.Concurrent;
using Fairlead.Memory;
using Fairlead.Pipeline;

namespace Fairlead.Policies.Checking;

/// <summary>
/// What was redacted in the requests of generations that outlive them, so that later readers on this node get it back. Only in memory, for an
/// hour at most: another node, or this one after a restart, shows the placeholders. Thread-safe.
/// </summary>
internal sealed class PlaceholderShelf(TimeProvider time, MemoryBudget memory)
{
    /// <summary>How long it is kept.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    /// <summary>Maximum number of generations; the oldest ones go first.</summary>
    public const int MaxKept = 2_000;

    /// <summary>Maximum memory of all of them; the oldest ones go first. It counts in the memory of requests.</summary>
    public const long MaxBytes = 32L * 1024 * 1024;

    private long _bytes;
    private readonly ConcurrentDictionary<string, Kept> _kept = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<string> _order = new();

    /// <summary>Keeps what a call whose response may be read again knows; nothing for almost all calls.</summary>
    public void Keep(GatewayCall call)
    {
        if (Originals.Of(call) is not { } originals) return;
        Keep(call.GenerationId, call.Caller.KeyId, originals);
    }

    /// <summary>Keeps what a generation of a key knows.</summary>
    public void Keep(string generationId, string keyId, Originals originals)
    {
        var kept = new Kept(originals, keyId, originals.Placeholders.Bytes, time.GetTimestamp());
        if (kept.Bytes > MaxBytes || !_kept.TryAdd(generationId, kept)) return;
        memory.Take(kept.Bytes);
        var bytes = Interlocked.Add(ref _bytes, kept.Bytes);
        _order.Enqueue(generationId);
        while (_order.TryPeek(out var oldest)
            && (_order.Count > MaxKept || bytes > MaxBytes || !_kept.TryGetValue(oldest, out var known) || IsOver(known)))
        {
            if (!_order.TryDequeue(out var gone) || !_kept.TryRemove(gone, out var removed)) continue;
            memory.Return(removed.Bytes);
            bytes = Interlocked.Add(ref _bytes, -removed.Bytes);
        }
    }

    /// <summary>Null if nothing was redacted, if it is not known here, or if another key sent it.</summary>
    /// <param name="generationId">The generation.</param>
    /// <param name="keyId">The key of the reader: originals are for the key that sent them.</param>
    public Originals? Find(string generationId, string keyId) =>
        _kept.TryGetValue(generationId, out var known) && known.KeyId == keyId && !IsOver(known) ? known.Originals : null;

    /// <summary>The same for the generation of a stored response, whose id has the same digits.</summary>
    public Originals? FindOfResponse(string? responseId, string keyId) =>
        responseId?.IndexOf('_', StringComparison.Ordinal) is > 0 and var at ? Find(string.Concat("gen", responseId.AsSpan(at)), keyId) : null;

    private bool IsOver(Kept kept) => time.GetElapsedTime(kept.At) > Lifetime;

    private sealed record Kept(Originals Originals, string KeyId, long Bytes, long At);
}
