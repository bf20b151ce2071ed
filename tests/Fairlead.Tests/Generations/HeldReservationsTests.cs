using Fairlead.Generations;
using Fairlead.Limits;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Generations;

public sealed class HeldReservationsTests : IDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly TemporaryStorage _temporary = new();
    private readonly IStorage _storage;
    private readonly HeldReservations _held;

    public HeldReservationsTests()
    {
        _storage = _temporary.Open();
        _held = new HeldReservations(new InMemoryTokenLedger(), _storage, _time);
    }

    public void Dispose()
    {
        _held.Dispose();
        _temporary.Dispose();
    }

    [Fact]
    public void ToCheck_LongHeldReservation_IsReturnedOncePerInterval()
    {
        var reservation = new TokenReservation("org_1", "proj_1", "key_1", 1, 1, 1);
        _held.Keep("gen_1", reservation);
        Assert.Empty(_held.ToCheck());
        _time.Advance(TimeSpan.FromSeconds(30));
        _held.Keep("gen_2", new TokenReservation("org_1", "proj_1", "key_1", 1, 1, 1));
        Assert.Equal(["gen_1"], _held.ToCheck());
        Assert.Empty(_held.ToCheck());
        _time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(2, _held.ToCheck().Count);
        // What was looked at is the same that is handed on.
        Assert.Same(reservation, _held.Take("gen_1"));
        _storage.Notifier.Announce(JobNotices.Changed, "gen_2");
        Assert.Equal(0, _held.Count);
    }
}
