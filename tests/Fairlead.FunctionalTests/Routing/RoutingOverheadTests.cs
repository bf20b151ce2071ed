using System.Text.Json;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Routing;

/// <summary>
/// What routing itself costs, without the time of the providers: medians of calls that are sent in turn, so that the load of the machine
/// changes both sides alike.
/// </summary>
public sealed class RoutingOverheadTests : IAsyncLifetime
{
    private const int Rounds = 150;
    private const string Facts =
        "contextWindow: 8000, maxOutputTokens: 2000, tokenizer: o200k, prices: { input: 1, output: 10 }, capabilities: { tools: false }";

    private FakeUpstream _broken = null!;
    private FakeUpstream _works = null!;

    public async ValueTask InitializeAsync()
    {
        _broken = await FakeUpstream.StartAsync(context => FakeUpstream.Json(context, "{}", 500));
        _works = await FakeUpstream.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _broken.DisposeAsync();
        await _works.DisposeAsync();
    }

    /// <summary>A failover before content adds less than 2 ms beside the attempts (p50).</summary>
    [Fact]
    public async Task Failover_BeforeContent_AddsLessThanTwoMilliseconds()
    {
        await using var gateway = await StartAsync("breaker: { enabled: false }");
        var (failover, single) = await CompareAsync(gateway, isOwnTime: true);
        Assert.True(_broken.Requests.Count >= Rounds, "No failover happened.");
        Assert.InRange(failover - single, -2, 2);
    }

    /// <summary>While the first deployment is open, a call takes as long as with the second one alone.</summary>
    [Fact]
    public async Task BreakerOpen_AgainstASingleDeployment_AddsNoLatency()
    {
        await using var gateway = await StartAsync("breaker: { failures: 1, interval: 1h }");
        var (open, single) = await CompareAsync(gateway, isOwnTime: false);
        Assert.Single(_broken.Requests);
        Assert.InRange(open - single, -2, 2);
    }

    private static async Task<(double Two, double One)> CompareAsync(TestGateway gateway, bool isOwnTime)
    {
        var (two, one) = (new List<double>(), new List<double>());
        for (var i = 0; i < 20 + Rounds; i++)
        {
            // Either may be first.
            var (first, second) = i % 2 == 0 ? (two, one) : (one, two);
            first.Add(await MeasureAsync(gateway, first == two ? "two" : "one", isOwnTime));
            second.Add(await MeasureAsync(gateway, second == two ? "two" : "one", isOwnTime));
        }
        return (Median(two), Median(one));
    }

    private static double Median(List<double> values) => values.Skip(20).Order().ElementAt(Rounds / 2);

    private static async Task<double> MeasureAsync(TestGateway gateway, string model, bool isOwnTime)
    {
        var since = TimeProvider.System.GetTimestamp();
        var response = await gateway.Client.PostForJsonAsync(
            "/v1/chat/completions", $$"""{"model":"{{model}}","messages":[{"role":"user","content":"Hi"}]}""");
        var took = TimeProvider.System.GetElapsedTime(since).TotalMilliseconds;
        return isOwnTime
            ? took - response.GetProperty("fairlead").GetProperty("attempts").EnumerateArray().Sum(DurationOf)
            : took;
    }

    private static double DurationOf(JsonElement attempt) => attempt.GetProperty("duration_ms").GetDouble();

    private Task<TestGateway> StartAsync(string breaker) => TestGateway.StartAsync($$"""
        fairlead:
          providers:
            broken: { kind: openai, baseUrl: {{_broken.Url}}/v1, apiKey: k }
            works: { kind: openai, baseUrl: {{_works.Url}}/v1, apiKey: k }
          {{breaker}}
          retry: { maxRetries: 0 }
          models:
            one: { {{Facts}}, deployments: [{ provider: works, model: m }] }
            two:
              { {{Facts}}, deployments: [{ provider: broken, model: m, priority: 1 }, { provider: works, model: m, priority: 2 }] }
        """);
}
