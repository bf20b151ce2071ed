using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Tests.Dialects;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Limits;

public sealed class LimitHeadersTests
{
    private static GatewayCall Call(Dialect dialect, LimitState[] states, bool extensions = true)
    {
        var call = DialectCalls.Of(dialect, "{}", extensions);
        call.Limits = new FixedLimits(states);
        return call;
    }

    private static Dictionary<string, string> Headers(GatewayCall call, string? retryAfter = null)
    {
        IHeaderDictionary headers = new HeaderDictionary();
        if (retryAfter is not null) headers.RetryAfter = retryAfter;
        LimitHeaders.Write(headers, call);
        return headers.ToDictionary(one => one.Key, one => one.Value.ToString(), StringComparer.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Write_OpenAiDialect_HasItsHeadersAndTheStandardOnes(bool extensions)
    {
        var headers = Headers(Call(OpenAiChatDialect.Create(), LimitSamples.All, extensions));
        Assert.Equal("60", headers["x-ratelimit-limit-requests"]);
        Assert.Equal("57", headers["x-ratelimit-remaining-requests"]);
        Assert.Equal("3s", headers["x-ratelimit-reset-requests"]);
        // The smallest amount of any limit of tokens.
        Assert.Equal("8000", headers["x-ratelimit-limit-tokens"]);
        Assert.Equal("1000", headers["x-ratelimit-remaining-tokens"]);
        Assert.Equal("53s", headers["x-ratelimit-reset-tokens"]);
        Assert.StartsWith("\"project-output-tokens\";q=8000", headers["RateLimit-Policy"], StringComparison.Ordinal);
        Assert.StartsWith("\"project-output-tokens\";r=1000", headers["RateLimit"], StringComparison.Ordinal);
        Assert.Equal(8, headers.Count);
    }

    [Fact]
    public void Write_AnthropicDialect_HasItsHeadersAndTheStandardOnes()
    {
        var headers = Headers(Call(MessagesDialect.Create(), LimitSamples.All));
        Assert.Equal("60", headers["anthropic-ratelimit-requests-limit"]);
        Assert.Equal("57", headers["anthropic-ratelimit-requests-remaining"]);
        Assert.Equal("2026-11-23T12:00:03Z", headers["anthropic-ratelimit-requests-reset"]);
        Assert.Equal("40000", headers["anthropic-ratelimit-input-tokens-limit"]);
        Assert.Equal("39200", headers["anthropic-ratelimit-input-tokens-remaining"]);
        Assert.Equal("2026-11-23T12:00:02Z", headers["anthropic-ratelimit-input-tokens-reset"]);
        Assert.Equal("8000", headers["anthropic-ratelimit-output-tokens-limit"]);
        Assert.Equal("1000", headers["anthropic-ratelimit-output-tokens-remaining"]);
        Assert.Equal("2026-11-23T12:00:53Z", headers["anthropic-ratelimit-output-tokens-reset"]);
        Assert.Equal("8000", headers["anthropic-ratelimit-tokens-limit"]);
        Assert.Equal("1000", headers["anthropic-ratelimit-tokens-remaining"]);
        Assert.Equal("2026-11-23T12:00:53Z", headers["anthropic-ratelimit-tokens-reset"]);
        Assert.True(headers.ContainsKey("RateLimit") && headers.ContainsKey("RateLimit-Policy"));
        Assert.Equal(14, headers.Count);
    }

    [Fact]
    public void Write_OwnDialect_HasOnlyTheStandardHeaders()
    {
        var headers = Headers(Call(FairleadDialect.Create(), LimitSamples.All));
        Assert.Equal(["RateLimit", "RateLimit-Policy"], headers.Keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Write_SeveralLimitsOfAKind_ShowsTheOneWithTheLeastRemaining()
    {
        // The organization's limit is larger, and less of it remains.
        var headers = Headers(Call(OpenAiChatDialect.Create(),
            [LimitSamples.Requests, LimitSamples.Rate(LimitName.RequestsPerMinute, 1_000, 3, 59.8, LimitScope.Organization)]));
        Assert.Equal("1000", headers["x-ratelimit-limit-requests"]);
        Assert.Equal("3", headers["x-ratelimit-remaining-requests"]);
        Assert.Equal("1m0s", headers["x-ratelimit-reset-requests"]);
    }

    [Fact]
    public void Write_EqualRemaining_ShowsTheLimitThatIsFullLast()
    {
        var headers = Headers(Call(OpenAiChatDialect.Create(),
            [LimitSamples.Rate(LimitName.RequestsPerMinute, 10, 5, 30), LimitSamples.Rate(LimitName.RequestsPerMinute, 20, 5, 45, LimitScope.Project)]));
        Assert.Equal("20", headers["x-ratelimit-limit-requests"]);
        Assert.Equal("45s", headers["x-ratelimit-reset-requests"]);
    }

    [Fact]
    public void Write_OnlyABudgetOfTokens_IsTheLimitOfTokens()
    {
        var headers = Headers(Call(MessagesDialect.Create(), [LimitSamples.TokensPerDay]));
        Assert.Equal("600000", headers["anthropic-ratelimit-tokens-remaining"]);
        Assert.Equal("2026-11-24T00:00:00Z", headers["anthropic-ratelimit-tokens-reset"]);
        Assert.DoesNotContain(headers.Keys, name => name.Contains("input-tokens", StringComparison.Ordinal) || name.Contains("requests", StringComparison.Ordinal));
    }

    [Fact]
    public void Write_ResponseWithRetryAfter_HasNoWindowThatEndsLater()
    {
        var headers = Headers(Call(FairleadDialect.Create(), LimitSamples.All), retryAfter: "2");
        foreach (var item in StructuredField.ParseList(headers["RateLimit"]))
        {
            if (item.Parameters.TryGetValue("t", out var seconds)) Assert.True((long)seconds <= 2);
        }
    }

    [Fact]
    public void Write_CallWithoutLimits_HasNoHeaders()
    {
        Assert.Empty(Headers(Call(OpenAiChatDialect.Create(), [])));
        Assert.Empty(Headers(DialectCalls.Of(OpenAiChatDialect.Create(), "{}")));
    }

    [Fact]
    public void Write_LimitsOfMoneyOnly_HasNoHeadersOfTheDialect() =>
        Assert.Equal(["RateLimit", "RateLimit-Policy"], Headers(Call(OpenAiChatDialect.Create(), [LimitSamples.UsdPerMonth])).Keys.Order(StringComparer.Ordinal));

    [Fact]
    public void WriteNotices_WarningBeforeTheHeaders_IsInTheHeader()
    {
        var call = Call(OpenAiChatDialect.Create(), LimitSamples.All);
        call.Warn("limit_near", "80 % of the limit are used.");
        call.Warn("limit_near", "80 % of another limit are used.");
        var headers = new HeaderDictionary();
        ReplyHeaders.WriteNotices(headers, call);
        Assert.Equal("limit_near", headers["Fairlead-Warning"].ToString());
    }
}
