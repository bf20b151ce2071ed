using Fairlead.Tests.Common;
using Fairlead.Access;
using Fairlead.Generations;
using Fairlead.Limits;
using Fairlead.Storage;
using Fairlead.Tests.Limits;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Generations;

public sealed class HeldReservationsTests : IDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly TemporaryStorage _temporary = new();
    private readonly IStorage _storage;
    private readonly LimitAccounts _accounts;
    private readonly InMemoryTokenLedger _ledger;
    private readonly HeldReservations _held;

    public HeldReservationsTests()
    {
        _storage = _temporary.Open();
        _accounts = new LimitAccounts(_time);
        _ledger = new InMemoryTokenLedger(_accounts, new ProcessBudgetLeases(_time), new OutputHistories(), null);
        _held = new HeldReservations(_ledger, _storage, _time);
    }

    public void Dispose()
    {
        _held.Dispose();
        _temporary.Dispose();
    }

    private TokenReservation Reserve()
    {
        var call = LimitCalls.Of(_time, LimitCalls.CallerOf(), LimitCalls.ModelOf());
        var reserving = _ledger.ReserveAsync(call, ReservationParts.Money, TestContext.Current.CancellationToken);
        Assert.True(reserving.IsCompletedSuccessfully && reserving.Result is null);
        return call.Reservation!;
    }

    [Fact]
    public void ToCheck_LongHeldReservation_IsReturnedOncePerInterval()
    {
        var reservation = Reserve();
        _held.Keep("gen_1", reservation);
        Assert.Empty(_held.ToCheck());
        _time.Advance(TimeSpan.FromSeconds(30));
        _held.Keep("gen_2", Reserve());
        Assert.Equal(["gen_1"], _held.ToCheck());
        Assert.Empty(_held.ToCheck());
        _time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(2, _held.ToCheck().Count);
        // What was looked at is the same that is handed on.
        Assert.Same(reservation, _held.Take("gen_1"));
        _storage.Notifier.Announce(JobNotices.Changed, "gen_2");
        Assert.Equal(0, _held.Count);
        // Only the one that was handed on is still held.
        Assert.Equal((1, 20), (_ledger.Totals().Open, _ledger.Totals().HeldTokens));
    }

    /// <summary>A job whose run is postponed keeps its money. What it needs only while it runs is free for others, as if it had not asked.</summary>
    [Fact]
    public async Task Return_ReservationOfAPostponedRun_KeepsOnlyItsMoney()
    {
        var limits = new LimitSet { RequestsPerMinute = 60, InputTokensPerMinute = 1000, ConcurrentGenerations = 1, TokensPerDay = 1000 };
        var caller = LimitCalls.CallerOf(key: limits);
        var run = LimitCalls.Of(_time, caller, LimitCalls.ModelOf());
        Assert.Null(await _ledger.ReserveAsync(run, ReservationParts.All, TestContext.Current.CancellationToken));
        _held.Return("gen_1", run.Reservation);
        _held.Return("gen_1", run.Reservation);
        Assert.Equal(
            [(60, 0), (1000, 0), (1, 0), (980, 20)],
            run.Limits!.Read().OrderBy(state => state.Name).Select(state => ((int)state.Remaining, (int)state.Reserved)));

        // The next run takes it all again.
        var next = LimitCalls.Of(_time, caller, LimitCalls.ModelOf());
        next.Reservation = _held.Take("gen_1");
        Assert.Null(await _ledger.ReserveAsync(next, ReservationParts.Rates, TestContext.Current.CancellationToken));
        Assert.Equal([59, 990, 0, 980], next.Limits!.Read().OrderBy(state => state.Name).Select(state => (int)state.Remaining));
        _ledger.Settle(next.Reservation!, default, default);
        Assert.Equal((0, 0L), (_ledger.Totals().Open, _ledger.Totals().HeldTokens));
    }
}
