using Fairlead.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Storage;

public sealed class StoreWatchTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);

    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void HasAnswered_FromTheFirstAnswer_AfterOneLeaseOnly()
    {
        var watch = new StoreWatch(_time);
        Assert.False(watch.HasAnsweredFor(Lease));
        Answer(watch, 29);
        Assert.False(watch.HasAnsweredFor(Lease));
        Answer(watch, 1);
        Assert.True(watch.HasAnsweredFor(Lease));
    }

    [Fact]
    public void HasAnswered_AfterAFailureOrASilence_BeginsAnew()
    {
        var watch = new StoreWatch(_time);
        Answer(watch, 40);
        watch.Failed();
        Answer(watch, 29);
        Assert.False(watch.HasAnsweredFor(Lease));
        Answer(watch, 2);
        Assert.True(watch.HasAnsweredFor(Lease));
        _time.Advance(TimeSpan.FromSeconds(16));
        Answer(watch, 29);
        Assert.False(watch.HasAnsweredFor(Lease));
    }

    private void Answer(StoreWatch watch, int seconds)
    {
        watch.Answered(Lease);
        for (var i = 0; i < seconds; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            watch.Answered(Lease);
        }
    }
}
