using Fairlead.Scheduling;
using Fairlead.Scheduling.Quotas;

namespace Fairlead.Tests.Scheduling;

/// <summary>Higher classes go first, and lower ones never starve.</summary>
public sealed class AgingTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly VirtualQueue _queue = new();
    private readonly Fairlead.Catalogue.Deployment _one = VirtualQueue.At("p/m", 1);

    [Fact]
    public void Classes_AllWait_HigherOnesGoFirst()
    {
        var calls = new[] { 2, 1, 0, 1, 0, 2 }.Select((rank, i) => Send(rank, $"o{i}")).ToList();
        _queue.RunUntil(Second * 10);
        Assert.Equal([2, 0, 0, 1, 1, 2], _queue.Started.Select(call => call.Class));
        Assert.Equal([calls[0], calls[2], calls[4], calls[1], calls[3], calls[5]], _queue.Started);
    }

    /// <summary>A call counts as one class higher for each span that it has waited.</summary>
    [Theory]
    [InlineData(29, 1)]
    [InlineData(31, 2)]
    public void Aging_BulkWaited_CompetesWithStandardAfterASpan(int waited, int served)
    {
        Assert.True(_queue.Slots.TryTake(_one));
        Send(2, "a");
        _queue.RunUntil(Second * waited);
        Send(1, "b");
        _queue.Slots.GiveBack(_one);
        Assert.Equal(served, Assert.Single(_queue.Started).Class);
    }

    /// <summary>Realtime calls always wait; jobs of the class bulk are served nevertheless, and take at most every second slot.</summary>
    [Theory]
    [InlineData("same")]
    [InlineData("other")]
    public void Bulk_UnderConstantRealtimePressure_IsServedAndTakesAtMostHalf(string organization)
    {
        for (var i = 0; i < 50; i++) Realtime();
        for (var i = 0; i < 500; i++) _queue.Send(_queue.NewCall(organization, [_one], Second, rank: 2, isRun: true));
        _queue.RunUntil(Second * 59);
        Assert.All(_queue.Started, call => Assert.Equal(0, call.Class));
        _queue.RunUntil(Second * 63);
        Assert.Contains(_queue.Started, call => call.Class == 2);
        _queue.RunUntil(Second * 400);
        var bulk = _queue.Started.Count(call => call.Class == 2);
        Assert.InRange(bulk, 100, 200);

        void Realtime() => _queue.Send(_queue.NewCall("same", [_one], Second, rank: 0), Realtime);
    }

    /// <summary>What a call pays when it competes as another class is paid there: its organization is not favoured in its own class.</summary>
    [Fact]
    public void Aging_OrganizationWithWaitingBulk_SavesNothingUpForStandard()
    {
        var settings = _queue.Settings = new SchedulingConfig { AgingAfter = TimeSpan.FromHours(1) };
        Assert.Equal(TimeSpan.FromHours(1), settings.AgingAfter);
        for (var i = 0; i < 10; i++) Standard("busy");
        for (var i = 0; i < 10; i++) Send(2, "saver");
        _queue.RunUntil(Second * 600);
        Assert.DoesNotContain(_queue.Started, call => call.Organization == "saver");
        var before = _queue.Started.Count;
        for (var i = 0; i < 10; i++) Standard("saver");
        _queue.RunUntil(Second * 700);
        var since = _queue.Started.Skip(before).ToList();
        Assert.InRange(since.Count(call => call.Organization == "saver") / (double)since.Count, 0.45, 0.55);

        void Standard(string organization) => _queue.Send(_queue.NewCall(organization, [_one], Second), () => Standard(organization));
    }

    /// <summary>A call that is next, but for which the provider has no room yet, does not use up the turn of its class.</summary>
    [Fact]
    public void Aging_ProviderAllowsOneRequestASecond_ClassesTakeTurns()
    {
        var limited = VirtualQueue.At("p/limited", 1000);
        var quota = _queue.Slots.QuotaOf(limited);
        quota.Report(0, 0, new ReportedLimits { RetryAfter = Second * 65 });
        for (var i = 0; i < 40; i++) _queue.Send(_queue.NewCall("bulk", [limited], Second, rank: 2));
        _queue.RunUntil(Second * 64);
        for (var i = 0; i < 40; i++) _queue.Send(_queue.NewCall("live", [limited], Second, rank: 0));
        quota.Report(0, 1, new ReportedLimits { Requests = new ReportedLimit(0, 60, Second * 60) });
        _queue.RunUntil(Second * 86);
        Assert.InRange(_queue.Started.Count, 15, 25);
        Assert.InRange(_queue.Started.Count(call => call.Class == 0) / (double)_queue.Started.Count, 0.4, 0.6);
    }

    private SimulatedCall Send(int rank, string organization) => _queue.Send(_queue.NewCall(organization, [_one], Second, rank));
}
