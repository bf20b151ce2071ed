using Fairlead.Limits;

namespace Fairlead.Tests.Limits;

public sealed class ConcurrencyCounterTests
{
    private readonly ConcurrencyCounter _counter =
        new(new LimitIdentity(LimitScope.Key, "org_1", "key_1", null, null, LimitName.ConcurrentGenerations), new LimitClock(new LimitTime()));

    private long Held => _counter.StateAt(default).Reserved;

    [Fact]
    public void Show_RepliesInAnotherOrder_EndsWithTheLatest()
    {
        _counter.Apply(10);
        // Two calls were taken in Redis, where a third one of another node runs. The second reply is the first to arrive.
        _counter.Take();
        _counter.Show(3, 2, isNewCall: true);
        Assert.Equal(3, Held);
        _counter.Take();
        _counter.Show(2, 1, isNewCall: true);
        Assert.Equal(3, Held);
        _counter.Release(1);
        Assert.Equal(2, Held);
        _counter.Show(2, 3, isNewCall: false);
        Assert.Equal(2, Held);
    }

    [Theory]
    [InlineData(10, 3, 3)]
    [InlineData(2, 3, 1)]
    public void ShareOut_Nodes_HaveEqualParts(long limit, int nodes, long share)
    {
        _counter.Apply(limit);
        _counter.Show(limit, 1, isNewCall: false);
        _counter.ShareOut(nodes);
        // What other nodes hold counts in their shares.
        Assert.Equal((share, 0, limit), (_counter.Limit, Held, _counter.WholeLimit));
        _counter.Show(1, 2, isNewCall: false);
        Assert.Equal((limit, 1), (_counter.Limit, Held));
    }
}
