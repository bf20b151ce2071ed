using System.Buffers;
using System.Text.Json;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Limits;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Limits;

public sealed class LimitErrorsTests
{
    private static readonly LimitState NoRequests = LimitSamples.Requests with { Remaining = 0, Used = 59, Reserved = 1 };

    private static JsonElement Body(GatewayError error, ErrorShape shape)
    {
        var output = new ArrayBufferWriter<byte>();
        ErrorBodyWriter.WriteBody(output, error, shape, "req_1");
        return JsonDocument.Parse(output.WrittenMemory).RootElement;
    }

    private static IHeaderDictionary Headers(GatewayError error, ErrorShape shape)
    {
        IHeaderDictionary headers = new HeaderDictionary();
        ErrorResponses.WriteHeaders(headers, error, shape);
        return headers;
    }

    [Fact]
    public void Refusal_RateOfRequests_HasFormOfEveryDialect()
    {
        var error = LimitErrors.Refusal(NoRequests, 1, TimeSpan.FromMilliseconds(950.2));

        var openAi = Body(error, ErrorShape.OpenAi).GetProperty("error");
        Assert.Equal("requests", openAi.GetProperty("type").GetString());
        Assert.Equal("rate_limit_exceeded", openAi.GetProperty("code").GetString());
        Assert.Equal("rate_limit_error", Body(error, ErrorShape.Anthropic).GetProperty("error").GetProperty("type").GetString());
        var problem = Body(error, ErrorShape.Problem);
        Assert.Equal(429, problem.GetProperty("status").GetInt32());
        Assert.Equal("The limit `requests_per_minute` of this key is reached: 0 of 60 remain, and the call needs 1.", problem.GetProperty("detail").GetString());
        Assert.Equal(951, problem.GetProperty("retry_after_ms").GetInt64());
        Assert.True(problem.GetProperty("retryable").GetBoolean());

        foreach (var shape in Enum.GetValues<ErrorShape>())
        {
            var body = Body(error, shape);
            var details = (shape == ErrorShape.Problem ? body : body.GetProperty("error")).GetProperty("details");
            Assert.Equal(
                """{"name":"requests_per_minute","scope":"key","model":null,"class":null,"limit":60,"used":59,"reserved":1,"remaining":0,"window_seconds":60,"resets_at":"2026-11-23T12:00:02.500Z","policy":"key-requests","requested":1,"retry_after_ms":951,"estimated":false}""",
                details.GetRawText());
            var headers = Headers(error, shape);
            Assert.Equal("1", headers.RetryAfter.ToString());
            Assert.Equal("951", headers["retry-after-ms"].ToString());
            Assert.False(headers.ContainsKey("x-should-retry"));
        }
    }

    [Fact]
    public void Refusal_RateOfTokens_HasOpenAiTypeTokens()
    {
        var error = LimitErrors.Refusal(LimitSamples.InputTokens with { Remaining = 500 }, 800, TimeSpan.FromSeconds(1));
        Assert.Equal("tokens", Body(error, ErrorShape.OpenAi).GetProperty("error").GetProperty("type").GetString());
    }

    [Fact]
    public void Refusal_BudgetForDays_IsInTheBodyOnlyAndStopsRetries()
    {
        var state = LimitSamples.UsdPerMonth with { Remaining = LimitSamples.Dollar / 100 };
        var error = LimitErrors.Refusal(state, LimitSamples.Dollar / 2, state.ResetsAt - LimitSamples.Now);
        Assert.Equal("insufficient_quota", Body(error, ErrorShape.OpenAi).GetProperty("error").GetProperty("type").GetString());
        Assert.Equal("insufficient_quota", Body(error, ErrorShape.OpenAi).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("billing_error", Body(error, ErrorShape.Anthropic).GetProperty("error").GetProperty("type").GetString());
        Assert.Equal(402, ErrorBodyWriter.StatusOf(error, ErrorShape.Anthropic));
        var problem = Body(error, ErrorShape.Problem);
        Assert.Equal(
            "The limit `usd_per_month` of the organization for the class bulk is reached: 0.01 US dollars of 100 US dollars remain, and the call needs 0.5 US dollars.",
            problem.GetProperty("detail").GetString());
        Assert.Equal(648_000_000, problem.GetProperty("retry_after_ms").GetInt64());
        Assert.Equal(
            """{"name":"usd_per_month","scope":"organization","model":null,"class":"bulk","limit":100,"used":12,"reserved":0.25,"remaining":0.01,"window_seconds":null,"resets_at":"2026-12-01T00:00:00.000Z","policy":"org-usd-month-bulk","requested":0.5,"retry_after_ms":648000000,"estimated":false}""",
            problem.GetProperty("details").GetRawText());
        foreach (var shape in (ErrorShape[])[ErrorShape.OpenAi, ErrorShape.Problem])
        {
            var headers = Headers(error, shape);
            Assert.Equal("false", headers["x-should-retry"].ToString());
            Assert.False(headers.ContainsKey("Retry-After") || headers.ContainsKey("retry-after-ms"));
        }
        Assert.False(Headers(error, ErrorShape.Anthropic).ContainsKey("Retry-After"));
    }

    [Fact]
    public void Refusal_BudgetThatStartsAgainWithinAMinute_TellsTheWait()
    {
        var headers = Headers(LimitErrors.Refusal(LimitSamples.TokensPerDay with { Remaining = 0 }, 1, TimeSpan.FromSeconds(60)), ErrorShape.OpenAi);
        Assert.Equal("60", headers.RetryAfter.ToString());
        Assert.False(headers.ContainsKey("x-should-retry"));
    }

    [Fact]
    public void Refusal_CallLargerThanTheWholeLimit_CannotBeRetried()
    {
        var error = LimitErrors.Refusal(LimitSamples.InputTokens, 40_001, TimeSpan.FromSeconds(1), isEstimated: true);
        Assert.False(error.IsRetryable);
        Assert.Null(error.RetryAfter);
        Assert.Equal("The call needs 40,001, and the limit `input_tokens_per_minute` of the organization is 40,000.", error.Message);
        Assert.Contains("waiting does not help", Body(error, ErrorShape.Problem).GetProperty("remedy").GetString(), StringComparison.Ordinal);
        Assert.Equal("false", Headers(error, ErrorShape.OpenAi)["x-should-retry"].ToString());
    }

    [Fact]
    public void Refusal_Concurrency_SaysThatTheWaitIsAnEstimate()
    {
        var error = LimitErrors.Refusal(LimitSamples.Concurrent with { Remaining = 0 }, 1, TimeSpan.FromSeconds(3), isEstimated: true);
        Assert.True(error.Details!["estimated"]!.GetValue<bool>());
        Assert.Equal(3_000, error.Details["retry_after_ms"]!.GetValue<long>());
    }

    [Fact]
    public void Refusal_LimitOfASingleRequest_IsNotThisError() =>
        Assert.Throws<ArgumentException>(() => LimitErrors.Refusal(LimitSamples.InputTokensPerRequest, 5_000, null));

    [Fact]
    public void PolicyOf_ErrorOfAnotherKind_IsNull()
    {
        Assert.Equal("key-requests", LimitErrors.PolicyOf(LimitErrors.Refusal(NoRequests, 1, null)));
        Assert.Null(LimitErrors.PolicyOf(null));
        Assert.Null(LimitErrors.PolicyOf(new GatewayError(ErrorCode.RateLimitExceeded, "The provider refused.")));
        Assert.Null(LimitErrors.PolicyOf(GatewayError.Invalid("x", "y") with { Details = new() { ["policy"] = "key-requests" } }));
    }
}
