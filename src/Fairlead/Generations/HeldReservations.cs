using System.Collections.Concurrent;
using Fairlead.Conversation;
using Fairlead.Limits;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// The reservations of accepted jobs until they start, also of those that were postponed. If another node starts a job, or it is cancelled
/// before it starts, a notification releases its reservation here. A notification may be lost, so old reservations are checked now and then
/// (<see cref="CheckAsync"/>). Thread-safe, except for <see cref="CheckAsync"/>, which has one caller.
/// </summary>
internal sealed class HeldReservations : IDisposable
{
    /// <summary>Longer than any transaction that adds a job takes.</summary>
    private static readonly TimeSpan Old = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan CheckPeriod = TimeSpan.FromSeconds(10);

    /// <summary>Checked at once, so that a long queue costs little.</summary>
    private const int MaxChecked = 200;

    private readonly ConcurrentDictionary<string, Held> _held = new(StringComparer.Ordinal);
    private readonly ITokenLedger _ledger;
    private readonly TimeProvider _time;
    private readonly IDisposable _notices;
    private long? _checkedAt;

    public HeldReservations(ITokenLedger ledger, IStorage storage, TimeProvider time)
    {
        _ledger = ledger;
        _time = time;
        _notices = storage.Notifier.Subscribe(JobNotices.Changed, id =>
        {
            if (id is not null) Release(id);
        });
    }

    public int Count => _held.Count;

    public bool Has(string id) => _held.ContainsKey(id);

    public void Keep(string id, TokenReservation? reservation)
    {
        if (reservation is not null) _held[id] = new Held(reservation, _time.GetTimestamp());
    }

    /// <summary>Keeps the money of a job whose run is postponed. Its rates and its concurrency are free for others.</summary>
    public void Return(string id, TokenReservation? reservation)
    {
        if (reservation is null) return;
        _ledger.ReleaseRates(reservation);
        Keep(id, reservation);
    }

    /// <summary>Hands the reservation of a job to its run.</summary>
    public TokenReservation? Take(string id) => _held.TryRemove(id, out var held) ? held.Reservation : null;

    public void Release(string id)
    {
        if (Take(id) is { } reservation) _ledger.Settle(reservation, default, new Cost(0, Basis.Measured));
    }

    /// <summary>Releases the reservations of jobs that are no longer in the queue.</summary>
    public async Task CheckAsync(GenerationQueue queue, CancellationToken cancellationToken)
    {
        if (_held.IsEmpty) return;
        if (_checkedAt is { } before && _time.GetElapsedTime(before) < CheckPeriod) return;
        _checkedAt = _time.GetTimestamp();
        var ids = ToCheck();
        if (ids.Count == 0) return;
        var waiting = await queue.WaitingAsync(ids, cancellationToken);
        foreach (var id in ids)
        {
            if (!waiting.Contains(id)) Release(id);
        }
    }

    /// <summary>
    /// Jobs whose reservation is so old that a notification may have been lost, those first that were not checked for the longest time.
    /// </summary>
    public IReadOnlyList<string> ToCheck()
    {
        var due = _held.Where(held => _time.GetElapsedTime(held.Value.CheckedAt) >= Old).OrderBy(held => held.Value.CheckedAt)
            .Take(MaxChecked).ToArray();
        foreach (var (id, held) in due) _held.TryUpdate(id, held with { CheckedAt = _time.GetTimestamp() }, held);
        return [.. due.Select(held => held.Key)];
    }

    public void Dispose() => _notices.Dispose();

    private sealed record Held(TokenReservation Reservation, long CheckedAt);
}
