using System.Collections.Concurrent;
using Fairlead.Conversation;
using Fairlead.Limits;
using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// What accepted jobs hold until they are begun. A job that another node begins, or that is cancelled before it began, lets go here when
/// the notice of it comes; since a notice may be lost, what is held for long is looked up now and then (<see cref="ToCheck"/>). Thread-safe.
/// </summary>
internal sealed class HeldReservations : IDisposable
{
    /// <summary>Older than any transaction that adds a job.</summary>
    private static readonly TimeSpan Old = TimeSpan.FromSeconds(30);

    /// <summary>Looked up at once, so that a long queue costs little.</summary>
    private const int MostChecked = 200;

    private readonly ConcurrentDictionary<string, Held> _held = new(StringComparer.Ordinal);
    private readonly ITokenLedger _ledger;
    private readonly TimeProvider _time;
    private readonly IDisposable _notices;

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

    public void Keep(string id, TokenReservation? reservation)
    {
        if (reservation is not null) _held[id] = new Held(reservation, _time.GetTimestamp());
    }

    /// <summary>Hands what the job holds to its run.</summary>
    public TokenReservation? Take(string id) => _held.TryRemove(id, out var held) ? held.Reservation : null;

    public void Release(string id)
    {
        if (Take(id) is { } reservation) _ledger.Settle(reservation, default, new Cost(0, Basis.Measured));
    }

    /// <summary>Jobs that have held something for so long that a notice may have been lost, those not looked at for the longest time first. Each is asked for once in a while.</summary>
    public IReadOnlyList<string> ToCheck()
    {
        var due = _held.Where(held => _time.GetElapsedTime(held.Value.CheckedAt) >= Old).OrderBy(held => held.Value.CheckedAt).Take(MostChecked).ToArray();
        foreach (var (id, held) in due) _held.TryUpdate(id, held with { CheckedAt = _time.GetTimestamp() }, held);
        return [.. due.Select(held => held.Key)];
    }

    public void Dispose() => _notices.Dispose();

    private sealed record Held(TokenReservation Reservation, long CheckedAt);
}

/// <summary>Channels of the database's notices.</summary>
internal static class JobNotices
{
    /// <summary>A job waits.</summary>
    public const string Queued = "jobs";

    /// <summary>A generation, by its id, was begun, cancelled or has ended.</summary>
    public const string Changed = "generations";

    /// <summary>Events of a generation, by its id, were written.</summary>
    public const string Events = "generation_events";

    /// <summary>Someone asks the run of a generation to stop.</summary>
    public const string Cancel = "generation_cancel";
}
