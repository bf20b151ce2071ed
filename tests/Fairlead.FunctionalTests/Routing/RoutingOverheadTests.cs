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

    /// <summary>On a quiet machine, what chance explains is less than what the two lists of deployments themselves may cost.</summary>
    private const double MinNoise = 0.1;

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
        var (failover, noise) = await CompareAsync(gateway, isOwnTime: true);
        Assert.True(_broken.Requests.Count >= Rounds, "No failover happened.");
        Assert.InRange(failover, -noise, 2);
    }

    /// <summary>
    /// While the first deployment is open, a call takes as long as with the second one alone: the difference is within that of two models
    /// that are the same.
    /// </summary>
    [Fact]
    public async Task BreakerOpen_AgainstASingleDeployment_AddsNoLatency()
    {
        await using var gateway = await StartAsync("breaker: { failures: 1, interval: 1h }");
        var (open, noise) = await CompareAsync(gateway, isOwnTime: false);
        Assert.Single(_broken.Requests);
        Assert.InRange(open, -noise, noise);
    }

    /// <summary>
    /// How much longer the model with two deployments takes than the one with one, as the median of the rounds, and how far such a median
    /// may be off by chance: four standard errors of the same difference between two models that are the same.
    /// </summary>
    private static async Task<(double Longer, double Noise)> CompareAsync(TestGateway gateway, bool isOwnTime)
    {
        string[] models = ["two", "one", "same"];
        var (longer, same) = (new List<double>(), new List<double>());
        for (var i = 0; i < 20 + Rounds; i++)
        {
            var took = new double[models.Length];
            // Any of them may be first.
            for (var j = 0; j < models.Length; j++)
            {
                var next = (i + j) % models.Length;
                took[next] = await MeasureAsync(gateway, models[next], isOwnTime);
            }
            if (i < 20) continue;
            longer.Add(took[0] - took[1]);
            same.Add(took[2] - took[1]);
        }
        // Of a normal distribution: half of it lies within 1.35 standard deviations, and a median varies 1.25 times as much as a mean.
        var deviation = (At(same, 0.75) - At(same, 0.25)) / 1.35;
        var noise = Math.Max(MinNoise, 4 * 1.25 * deviation / Math.Sqrt(Rounds));
        TestContext.Current.SendDiagnosticMessage($"Longer by {At(longer, 0.5):0.000} ms; noise {noise:0.000} ms.");
        return (At(longer, 0.5), noise);
    }

    private static double At(List<double> values, double share) => values.Order().ElementAt((int)(values.Count * share));

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
            same: { {{Facts}}, deployments: [{ provider: works, model: m }] }
            two:
              { {{Facts}}, deployments: [{ provider: broken, model: m, priority: 1 }, { provider: works, model: m, priority: 2 }] }
        """);
}
