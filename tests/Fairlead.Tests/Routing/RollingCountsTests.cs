using Fairlead.Routing;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Routing;

public sealed class RollingCountsTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void Totals_EventsLeaveTheWindow_CountNoLonger()
    {
        var counts = new RollingCounts(TimeSpan.FromSeconds(10), _time);
        for (var second = 0; second < 30; second++)
        {
            counts.Add();
            counts.Add();
            counts.Mark();
            var inWindow = Math.Min(second + 1, 10);
            Assert.Equal((2 * inWindow, inWindow), counts.Totals());
            _time.Advance(TimeSpan.FromSeconds(1));
        }
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal((0, 0), counts.Totals());
    }

    [Fact]
    public async Task Add_ManyThreads_CountsAll()
    {
        var counts = new RollingCounts(TimeSpan.FromSeconds(10), _time);
        counts.Add();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < 10_000; i++) counts.Add();
        }, TestContext.Current.CancellationToken)));
        Assert.Equal((40_001, 0), counts.Totals());
    }
}
