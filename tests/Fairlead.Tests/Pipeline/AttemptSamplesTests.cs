using Fairlead.Catalogue;
using Fairlead.Dialects;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Scheduling.Adaptive;
using Fairlead.Tests.Dialects;

namespace Fairlead.Tests.Pipeline;

/// <summary>What the end of an attempt says about the capacity of its deployment.</summary>
public sealed class AttemptSamplesTests
{
    [Theory]
    [InlineData(429, nameof(AttemptResult.Refused))]
    [InlineData(503, nameof(AttemptResult.Refused))]
    [InlineData(500, nameof(AttemptResult.Failed))]
    [InlineData(400, nameof(AttemptResult.Unknown))]
    public void Of_FailedAttempt_CountsUnlessTheCallOrderedTheFault(int status, string expected)
    {
        var (call, attempt) = Failed(status);
        var sample = AttemptSamples.Of(call, attempt, call.Time);
        Assert.Equal((expected, status == 429, status >= 500), (sample.Result.ToString(), sample.IsRateLimited, sample.IsServerError));

        // The fault is for this call alone: it must not move the limit of others.
        call.Simulate = $"status={status}";
        var ordered = AttemptSamples.Of(call, attempt, call.Time);
        Assert.Equal((AttemptResult.Unknown, false, false), (ordered.Result, ordered.IsRateLimited, ordered.IsServerError));
    }

    [Fact]
    public void Of_SlowResponseThatTheCallOrdered_IsNoMeasurement()
    {
        var (call, attempt) = Failed(200);
        attempt.Error = null;
        call.Answering = attempt;
        Assert.Equal(AttemptResult.Served, AttemptSamples.Of(call, attempt, call.Time).Result);
        call.Simulate = "first_token=5s";
        Assert.Equal(AttemptResult.Unknown, AttemptSamples.Of(call, attempt, call.Time).Result);
    }

    private static (GatewayCall Call, Attempt Attempt) Failed(int status)
    {
        var call = DialectCalls.Of(OpenAiChatDialect.Create(), """{"model":"fast","messages":[]}""");
        var deployment = new Deployment { Name = "p/m", ProviderName = "p", UpstreamModel = "m", Provider = new OrderedFaults() };
        var attempt = new Attempt("att_1", 1, deployment)
        {
            Sent = true,
            UpstreamStatus = status,
            Error = new GatewayError(ErrorCode.ProviderError, "failed"),
        };
        call.Attempts.Add(attempt);
        return (call, attempt);
    }

    private sealed class OrderedFaults() : Provider("p", "test")
    {
        public override bool IsFaultRequested(GatewayCall call) => call.Simulate is not null;

        public override bool Speaks(Dialect dialect) => false;

        public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
