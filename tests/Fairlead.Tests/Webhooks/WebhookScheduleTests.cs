using CsCheck;
using Fairlead.Webhooks;

namespace Fairlead.Tests.Webhooks;

public sealed class WebhookScheduleTests
{
    private static readonly WebhookResult Failed = new(500, null, null, TimeSpan.Zero);

    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 300)]
    [InlineData(3, 1_800)]
    [InlineData(4, 7_200)]
    [InlineData(5, 18_000)]
    [InlineData(6, 36_000)]
    [InlineData(7, 50_400)]
    [InlineData(8, 72_000)]
    [InlineData(9, 86_400)]
    public void PauseAfter_Failure_FollowsScheduleWithTenPercentJitter(int made, int seconds)
    {
        Assert.Equal(seconds * 0.9, WebhookSchedule.PauseAfter(made, Failed, () => 0)!.Value.TotalSeconds, 3);
        Assert.Equal(seconds, WebhookSchedule.PauseAfter(made, Failed, () => 0.5)!.Value.TotalSeconds, 3);
        Assert.Equal(seconds * 1.1, WebhookSchedule.PauseAfter(made, Failed, () => 1)!.Value.TotalSeconds, 3);
    }

    [Fact]
    public void PauseAfter_TenthAttempt_ReturnsNull() => Assert.Null(WebhookSchedule.PauseAfter(10, Failed, () => 0));

    [Fact]
    public void PauseAfter_410Gone_ReturnsNull() => Assert.Null(WebhookSchedule.PauseAfter(1, Failed with { StatusCode = 410 }, () => 0));

    [Fact]
    public void PauseAfter_RetryAfter_IsRespectedUpToOneDay() =>
        Gen.Select(Gen.Int[1, 9], Gen.Int[-10, 10_000_000], Gen.Double[0, 1]).Sample((made, asked, chance) =>
        {
            var pause = WebhookSchedule.PauseAfter(made, Failed with { RetryAfter = TimeSpan.FromSeconds(asked) }, () => chance)!.Value;
            var least = Math.Min(Math.Max(0, asked), 86_400);
            return pause.TotalSeconds >= least && pause >= WebhookSchedule.PauseAfter(made, Failed, () => chance)!.Value && pause <= TimeSpan.FromHours(24 * 1.1) + TimeSpan.FromSeconds(1);
        });

    [Theory]
    [InlineData(429, 30)]
    [InlineData(502, 30)]
    [InlineData(503, 30)]
    [InlineData(504, 30)]
    [InlineData(500, null)]
    [InlineData(404, null)]
    public void QuietAfter_OverloadedReceiver_ReturnsPause(int status, int? seconds) =>
        Assert.Equal(seconds is { } s ? TimeSpan.FromSeconds(s) : null, WebhookSchedule.QuietAfter(Failed with { StatusCode = status }));

    [Theory]
    [InlineData(0)]
    [InlineData(0.999)]
    public void LastingFailure_AnyJitter_IsExceededAtLastAttempt(double chance)
    {
        var total = TimeSpan.Zero;
        for (var made = 1; WebhookSchedule.PauseAfter(made, Failed, () => chance) is { } pause; made++) total += pause;
        Assert.True(total > WebhookSchedule.LastingFailure);
    }
}
