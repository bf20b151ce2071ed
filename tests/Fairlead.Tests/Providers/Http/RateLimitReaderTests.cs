using System.Net;
using Fairlead.Providers.Http;
using Fairlead.Scheduling.Quotas;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Providers.Http;

public sealed class RateLimitReaderTests
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero));

    [Fact]
    public void Read_OpenAiHeaders_ReturnsRequestsAndTokens()
    {
        var limits = Read(200, ("x-ratelimit-limit-requests", "60"), ("x-ratelimit-remaining-requests", "59"), ("x-ratelimit-reset-requests", "1s"),
            ("X-RateLimit-Limit-Tokens", "150000"), ("X-RateLimit-Remaining-Tokens", "149984"), ("X-RateLimit-Reset-Tokens", "6m0s"), ("retry-after", "9"));
        Assert.Equal(new ReportedLimit(59, 60, TimeSpan.FromSeconds(1)), limits.Requests);
        Assert.Equal(new ReportedLimit(149_984, 150_000, TimeSpan.FromMinutes(6)), limits.Tokens);
        Assert.Null(limits.InputTokens);
        // Of a success, it means nothing.
        Assert.Null(limits.RetryAfter);
    }

    [Fact]
    public void Read_AnthropicHeaders_ReturnsAllFour()
    {
        var limits = Read(200, ("anthropic-ratelimit-requests-limit", "50"), ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-23T12:00:30Z"), ("anthropic-ratelimit-tokens-remaining", "7000"),
            ("anthropic-ratelimit-input-tokens-remaining", "5000"), ("anthropic-ratelimit-output-tokens-remaining", "2000"),
            ("anthropic-priority-input-tokens-remaining", "1"));
        Assert.Equal(new ReportedLimit(0, 50, TimeSpan.FromSeconds(30)), limits.Requests);
        Assert.Equal((7000, 5000, 2000), (limits.Tokens!.Value.Remaining, limits.InputTokens!.Value.Remaining, limits.OutputTokens!.Value.Remaining));
    }

    [Theory]
    [InlineData(429, 2.0)]
    [InlineData(503, null)]
    [InlineData(529, null)]
    [InlineData(500, null)]
    [InlineData(200, null)]
    public void Read_RetryAfter_CountsOnlyForRefusals(int status, double? seconds)
    {
        var limits = Read(status, ("retry-after", "2"));
        Assert.Equal(seconds, limits.RetryAfter?.TotalSeconds);
        Assert.Equal(seconds is null, limits.IsEmpty);
    }

    [Theory]
    [InlineData("x-ratelimit-remaining-requests", "many")]
    [InlineData("x-ratelimit-remaining", "0")]
    [InlineData("x-ratelimit-remaining-images", "0")]
    [InlineData("x-ratelimit-limit-requests", "60")]
    [InlineData("anthropic-ratelimit-", "0")]
    [InlineData("x-request-id", "0")]
    public void Read_OtherHeaders_AreIgnored(string name, string value) => Assert.True(Read(200, (name, value)).IsEmpty);

    [Fact]
    public void Read_LimitOfZero_MeansNone() =>
        Assert.True(Read(200, ("x-ratelimit-limit-requests", "0"), ("x-ratelimit-remaining-requests", "0")).IsEmpty);

    [Theory]
    [InlineData("1s", 1)]
    [InlineData("12ms", 0.012)]
    [InlineData("6m0s", 360)]
    [InlineData("1h2m3.5s", 3723.5)]
    [InlineData("2", 2)] // Azure.
    [InlineData("0.25", 0.25)]
    [InlineData("1795435230", 30)] // Unix time.
    [InlineData("1795435230000", 30)]
    [InlineData("2026-11-23T12:00:30Z", 30)]
    [InlineData("2026-11-23T11:00:00Z", 0)]
    public void ReadReset_KnownForms_ReturnsTheTimeUntilThen(string text, double seconds) =>
        Assert.Equal(seconds, RateLimitReader.ReadReset(text, _time)!.Value.TotalSeconds, 3);

    [Theory]
    [InlineData("soon")]
    [InlineData("5 minutes")]
    [InlineData("s")]
    [InlineData("1x")]
    [InlineData("-5")]
    public void ReadReset_Anything_ReturnsNull(string text) => Assert.Null(RateLimitReader.ReadReset(text, _time));

    private ReportedLimits Read(int status, params (string Name, string Value)[] headers)
    {
        using var response = new HttpResponseMessage((HttpStatusCode)status);
        foreach (var (name, value) in headers) response.Headers.TryAddWithoutValidation(name, value);
        return RateLimitReader.Read(response, _time);
    }
}
