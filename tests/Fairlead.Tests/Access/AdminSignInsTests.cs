using System.Data.Common;
using System.Net;
using Fairlead.Access;
using Fairlead.Errors;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Access;

/// <summary>Whoever has no key can cause few records a second, and none of their attempts is forgotten.</summary>
public sealed class AdminSignInsTests : IDisposable
{
    private static readonly GatewayError Error = new(ErrorCode.InvalidApiKey, "No.");

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));
    private readonly Kept _kept = new();
    private readonly AdminSignIns _signIns;

    public AdminSignInsTests() => _signIns = new AdminSignIns(_kept, _time);

    [Fact]
    public void Refused_AddressesOfOneNetwork_CountAsOne()
    {
        for (var i = 0; i < 1000; i++) Refuse(IPAddress.Parse($"2001:db8:1:2::{i:x}"));
        Assert.Single(_kept.Actions);
        _time.Advance(TimeSpan.FromSeconds(1));
        Refuse(IPAddress.Parse("2001:db8:1:2:ffff::1"));
        Assert.Equal(999, _kept.Actions[1].Suppressed);
        Refuse(IPAddress.Parse("2001:db8:1:3::1"));
        Assert.Equal(3, _kept.Actions.Count);
    }

    [Fact]
    public void Refused_ManyAddresses_LeaveFewRecordsAndOneSum()
    {
        const int Addresses = AdminSignIns.MaxRemembered + 500;
        for (var i = 0; i < Addresses; i++) Refuse(new IPAddress([10, (byte)(i >> 16), (byte)(i >> 8), (byte)i]));
        Assert.Equal(AdminSignIns.MaxUnknownPerSecond, _kept.Actions.Count);
        _time.Advance(AdminSignIns.SumInterval);
        var sum = Assert.Single(_kept.Actions, action => action.Suppressed > 0);
        Assert.Equal((Addresses - AdminSignIns.MaxUnknownPerSecond, "invalid_api_key", (IPAddress?)null), (sum.Suppressed, sum.ErrorCode, sum.Actor.Address));
        // Told once.
        _time.Advance(AdminSignIns.SumInterval);
        Assert.Equal(AdminSignIns.MaxUnknownPerSecond + 1, _kept.Actions.Count);
    }

    [Fact]
    public void Refused_ManyOfOneAddressAndNoneAfterwards_AreAllCounted()
    {
        for (var i = 0; i < 100; i++) Refuse(IPAddress.Loopback);
        _time.Advance(AdminSignIns.SumInterval);
        Assert.Equal(99, _kept.Actions.Sum(action => action.Suppressed));
        _time.Advance(TimeSpan.FromSeconds(1));
        Refuse(IPAddress.Loopback);
        Assert.Equal(0, _kept.Actions[^1].Suppressed);
    }

    [Fact]
    public void Refused_OverManySeconds_CountsEachAttemptOnce()
    {
        var random = new Random(20261201);
        const int Attempts = 30_000;
        for (var i = 0; i < Attempts; i++)
        {
            Refuse(new IPAddress([10, 0, (byte)random.Next(80), (byte)random.Next(256)]));
            if (random.Next(300) == 0) _time.Advance(TimeSpan.FromMilliseconds(random.Next(900)));
        }
        _time.Advance(AdminSignIns.SumInterval);
        Assert.Equal(Attempts, _kept.Actions.Sum(action => action.Suppressed + (action.ResourceType is null ? 0 : 1)));
    }

    public void Dispose() => _signIns.Dispose();

    private void Refuse(IPAddress address) => _signIns.Refused(null, address, "req_1", Error, "GET /admin/v1/keys");

    private sealed class Kept : IAdminAudit
    {
        public List<AdminAction> Actions { get; } = [];

        public Task RecordAsync(DbConnection connection, AdminAction action, CancellationToken cancellationToken) => Task.CompletedTask;

        public void Committed()
        {
        }

        public void Record(AdminAction action) => Actions.Add(action);
    }
}
