using Fairlead.Limits;

namespace Fairlead.Tests.Limits;

public sealed class LimitTimesTests
{
    private static readonly DateTimeOffset Now = LimitSamples.Now;

    [Theory]
    [InlineData(-5_000, "0s")]
    [InlineData(0, "0s")]
    [InlineData(0.2, "1ms")]
    [InlineData(12, "12ms")]
    [InlineData(999.5, "1s")]
    [InlineData(1_000, "1s")]
    [InlineData(1_001, "2s")]
    [InlineData(59_999, "1m0s")]
    [InlineData(360_000, "6m0s")]
    [InlineData(3_723_000, "1h2m3s")]
    [InlineData(93_600_001, "26h0m1s")]
    public void Duration_AnyWait_IsRoundedUp(double milliseconds, string expected) =>
        Assert.Equal(expected, LimitTimes.Duration(Now.AddTicks((long)(milliseconds * TimeSpan.TicksPerMillisecond)), Now));

    [Theory]
    [InlineData(-5_000, "2026-11-23T12:00:00Z")]
    [InlineData(0, "2026-11-23T12:00:00Z")]
    [InlineData(1, "2026-11-23T12:00:01Z")]
    [InlineData(60_000, "2026-11-23T12:01:00Z")]
    public void Rfc3339_AnyTime_IsRoundedUpAndNotInThePast(int milliseconds, string expected) =>
        Assert.Equal(expected, LimitTimes.Rfc3339(Now.AddMilliseconds(milliseconds), Now));

    [Fact]
    public void Times_OfALimitThatNeverResets_AreThePresent()
    {
        Assert.Equal("0s", LimitTimes.Duration(null, Now));
        Assert.Equal("2026-11-23T12:00:00Z", LimitTimes.Rfc3339(null, Now));
        Assert.Equal(0, LimitTimes.SecondsUntil(null, Now));
    }
}
