using Fairlead.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Storage;

public sealed class StoreWatchTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);

    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void HasAnswered_FromFirstResponse_ReturnsTrueAfterOneLease()
    {
        var watch = new StoreWatch(_time);
        Assert.False(watch.HasRespondedFor(Lease));
        Answer(watch, 29);
        Assert.False(watch.HasRespondedFor(Lease));
        Answer(watch, 1);
        Assert.True(watch.HasRespondedFor(Lease));
    }

    [Fact]
    public void HasAnswered_AfterFailureOrGap_RestartsMeasurement()
    {
        var watch = new StoreWatch(_time);
        Answer(watch, 40);
        watch.Failed();
        Answer(watch, 29);
        Assert.False(watch.HasRespondedFor(Lease));
        Answer(watch, 2);
        Assert.True(watch.HasRespondedFor(Lease));
        _time.Advance(TimeSpan.FromSeconds(16));
        Answer(watch, 29);
        Assert.False(watch.HasRespondedFor(Lease));
    }

    private void Answer(StoreWatch watch, int seconds)
    {
        watch.Responded(Lease);
        for (var i = 0; i < seconds; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            watch.Responded(Lease);
        }
    }
}
