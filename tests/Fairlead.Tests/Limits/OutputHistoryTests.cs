using CsCheck;
using Fairlead.Limits;

namespace Fairlead.Tests.Limits;

public sealed class OutputHistoryTests
{
    [Fact]
    public void P90_AnyResponses_IsAtLeastThatAndAtMostQuarterAbove() =>
        Gen.Int[1, 200_000].Array[10, 200].Sample(tokens =>
        {
            var history = new OutputHistory();
            foreach (var each in tokens) history.Add(each);
            var sorted = tokens.Order().ToArray();
            var exact = sorted[^((tokens.Length / 10) + 1)];
            Assert.InRange(history.P90!.Value, exact, Math.Max(exact * 1.25, exact + 1));
        });

    [Fact]
    public void P90_FewResponses_IsUnknown()
    {
        var history = new OutputHistory();
        for (var i = 1; i < OutputHistory.MinResponses; i++) history.Add(100);
        Assert.Null(history.P90);
        history.Add(100);
        Assert.NotNull(history.P90);
    }

    [Fact]
    public void P90_ChangedHabit_FollowsIt()
    {
        var history = new OutputHistory();
        for (var i = 0; i < 1000; i++) history.Add(10_000);
        for (var i = 0; i < 2000; i++) history.Add(10);
        Assert.InRange(history.P90!.Value, 10, 12);
    }
}
