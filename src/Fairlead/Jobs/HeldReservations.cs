using System.Collections.Concurrent;
using Fairlead.Ledger;
using Fairlead.Limits;
using Fairlead.Storage;

namespace Fairlead.Jobs;

/// <summary>
/// What accepted jobs hold until they are begun. A job that another node begins, or that is cancelled before it began, lets go here when
/// the notice of it comes. Thread-safe.
/// </summary>
internal sealed class HeldReservations : IDisposable
{
    private readonly ConcurrentDictionary<string, TokenReservation> _held = new(StringComparer.Ordinal);
    private readonly ITokenLedger _ledger;
    private readonly IDisposable _notices;

    public HeldReservations(ITokenLedger ledger, IStorage storage)
    {
        _ledger = ledger;
        _notices = storage.Notifier.Subscribe(JobNotices.Changed, id =>
        {
            if (id is not null) Release(id);
        });
    }

    public void Keep(string id, TokenReservation? reservation)
    {
        if (reservation is not null) _held[id] = reservation;
    }

    /// <summary>Hands what the job holds to its run.</summary>
    public TokenReservation? Take(string id) => _held.TryRemove(id, out var reservation) ? reservation : null;

    public void Release(string id)
    {
        if (Take(id) is { } reservation) _ledger.Settle(reservation, default, new Cost(0, Basis.Measured));
    }

    public void Dispose() => _notices.Dispose();
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
