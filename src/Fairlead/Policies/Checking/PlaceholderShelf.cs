using System.Collections.Concurrent;
using Fairlead.Pipeline;

namespace Fairlead.Policies.Checking;

/// <summary>
/// What was redacted in the requests of generations that outlive them, so that later readers on this node get it back. Only in memory, for an
/// hour at most: another node, or this one after a restart, shows the placeholders. Thread-safe.
/// </summary>
internal sealed class PlaceholderShelf(TimeProvider time)
{
    /// <summary>How long it is kept.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    /// <summary>Maximum number of generations; the oldest ones go first.</summary>
    public const int MaxKept = 2_000;

    private readonly ConcurrentDictionary<string, Kept> _kept = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<string> _order = new();

    /// <summary>Keeps what a call whose response may be read again knows; nothing for almost all calls.</summary>
    public void Keep(GatewayCall call)
    {
        if (Originals.Of(call) is not { } originals) return;
        if (!_kept.TryAdd(call.GenerationId, new Kept(originals, time.GetTimestamp()))) return;
        _order.Enqueue(call.GenerationId);
        while (_order.TryPeek(out var oldest) && (_order.Count > MaxKept || !_kept.TryGetValue(oldest, out var known) || IsOver(known)))
        {
            if (_order.TryDequeue(out var gone)) _kept.TryRemove(gone, out _);
        }
    }

    /// <summary>Null if nothing was redacted, or if it is not known here.</summary>
    public Originals? Find(string generationId) =>
        _kept.TryGetValue(generationId, out var known) && !IsOver(known) ? known.Originals : null;

    /// <summary>The same for the generation of a stored response, whose id has the same digits.</summary>
    public Originals? FindOfResponse(string? responseId) =>
        responseId?.IndexOf('_', StringComparison.Ordinal) is > 0 and var at ? Find(string.Concat("gen", responseId.AsSpan(at))) : null;

    private bool IsOver(Kept kept) => time.GetElapsedTime(kept.At) > Lifetime;

    private sealed record Kept(Originals Originals, long At);
}
