using Fairlead.Providers.Simulated;

namespace Fairlead.Tests.Providers.Simulated;

public sealed class SimulationDirectivesTests
{
    [Fact]
    public void TryParse_EveryDirective_IsParsed()
    {
        Assert.True(SimulationDirectives.TryParse("ttft=200ms; tps=50; status=429; retry_after=2; reset; hang; cut_after=40; stall_after=20; malformed_at=10; no_done; fail_first=1", out var d, out _));
        Assert.Equal(new SimulationDirectives
        {
            FirstToken = TimeSpan.FromMilliseconds(200),
            TokensPerSecond = 50,
            Status = 429,
            RetryAfter = TimeSpan.FromSeconds(2),
            Reset = true,
            Hang = true,
            CutAfter = 40,
            StallAfter = 20,
            MalformedAt = 10,
            NoDone = true,
            FailFirst = 1,
        }, d);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData(" ; ;")]
    public void TryParse_Empty_ReturnsNone(string? text)
    {
        Assert.True(SimulationDirectives.TryParse(text, out var d, out _));
        Assert.Equal(SimulationDirectives.None, d);
    }

    [Theory]
    [InlineData("ttft=200", "ttft")]
    [InlineData("ttft=-1ms", "ttft")]
    [InlineData("ttft=2h", "ttft")]
    [InlineData("ttft=61m", "ttft")]
    [InlineData("ttft", "ttft")]
    [InlineData("tps=0", "tps")]
    [InlineData("tps=NaN", "tps")]
    [InlineData("tps=1e9", "tps")]
    [InlineData("status=200", "status")]
    [InlineData("status=429.5", "status")]
    [InlineData("retry_after=soon", "retry_after")]
    [InlineData("reset=1", "reset")]
    [InlineData("hang=", "hang")]
    [InlineData("cut_after=-1", "cut_after")]
    [InlineData("malformed_at=0", "malformed_at")]
    [InlineData("fail_first=0", "fail_first")]
    [InlineData("fail_first=99999999999999", "fail_first")]
    [InlineData("explode", "explode")]
    [InlineData("TTFT=1ms", "TTFT")]
    [InlineData("reset; reset", "reset")]
    [InlineData("=1", "''")]
    public void TryParse_InvalidDirective_ReturnsErrorNamingIt(string text, string named)
    {
        Assert.False(SimulationDirectives.TryParse(text, out _, out var fault));
        Assert.Contains(named, fault, StringComparison.Ordinal);
    }

    [Fact]
    public void TryParse_AnyText_NeverThrows() =>
        CsCheck.Check.Sample(CsCheck.Gen.String, text => SimulationDirectives.TryParse(text, out _, out var fault) || fault.Length > 0);
}
