using Fairlead.Limits.Thresholds;

namespace Fairlead.Tests.Limits.Thresholds;

public sealed class LimitWarningTests
{
    [Theory]
    [InlineData(0, 100, 0, "")]
    [InlineData(49, 100, 0, "")]
    [InlineData(50, 100, 0, "50")]
    [InlineData(94, 100, 50, "80")]
    [InlineData(99, 100, 80, "95")]
    [InlineData(100, 100, 95, "100")]
    [InlineData(100, 100, 100, "")]
    [InlineData(1, 1, 0, "50 80 95 100")]
    [InlineData(2, 3, 0, "50")]
    [InlineData(long.MaxValue, long.MaxValue, 0, "50 80 95 100")]
    [InlineData(long.MaxValue / 2, long.MaxValue, 0, "")]
    [InlineData((long.MaxValue / 2) + 1, long.MaxValue, 0, "50")]
    public void Reached_SettledAmount_ReturnsOpenThresholds(long settled, long limit, int warned, string expected) =>
        Assert.Equal(expected, string.Join(' ', LimitWarning.Reached(settled, limit, warned)));
}
