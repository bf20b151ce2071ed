using System.Net;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Microsoft.Extensions.DependencyInjection;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>Limits of models, through the whole gateway.</summary>
public sealed class LimitsOverHttpTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync();

    public async ValueTask DisposeAsync() => await _upstream.DisposeAsync();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private Task<TestGateway> StartAsync(LimitSet limits) =>
        TestGateway.StartAsync(_upstream.Yaml(), (builder, _) => builder.Services.AddModelLimits(limits));

    private static Task<HttpResponseMessage> AskAsync(TestGateway gateway, string more = "") =>
        gateway.Client.PostJsonAsync("/v1/chat/completions", $$"""{"model":"m","messages":[{"role":"user","content":"hi"}]{{more}}}""");

    [Fact]
    public async Task RequestsPerMinute_Exhausted_RefusesWithLimitAndWait()
    {
        await using var gateway = await StartAsync(new LimitSet { RequestsPerMinute = 2 });
        _upstream.Answer = context => Json(context, Completion("ok"));
        for (var i = 0; i < 2; i++)
        {
            using var served = await AskAsync(gateway);
            Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        }
        using var refused = await AskAsync(gateway);
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        var error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("error");
        Assert.Equal("rate_limit_exceeded", error.GetProperty("code").GetString());
        Assert.Equal("requests_per_minute", error.GetProperty("details").GetProperty("name").GetString());
        Assert.InRange(error.GetProperty("retry_after_ms").GetInt64(), 1, 30_000);
        Assert.Equal(2, _upstream.Received.Count);
    }

    [Fact]
    public async Task Budget_OpenMaximum_IsSentUpstreamInTheClientsOwnDialect()
    {
        await using var gateway = await StartAsync(new LimitSet { TokensPerDay = 200 });
        _upstream.Answer = context => Json(context, Completion("ok"));
        foreach (var more in (string[])["", ",\"max_completion_tokens\":null"])
        {
            using var served = await AskAsync(gateway, more);
            var body = await served.Content.ReadAsStringAsync(Cancel);
            Assert.True(served.StatusCode == HttpStatusCode.OK, body);
            Assert.Contains("output_capped", body, StringComparison.Ordinal);
            var sent = _upstream.Received.Last();
            var name = sent.TryGetProperty("max_tokens", out _) ? "max_tokens" : "max_completion_tokens";
            Assert.InRange(sent.GetProperty(name).GetInt64(), 1, 200);
            Assert.Equal(1, sent.EnumerateObject().Count(member => member.Name.StartsWith("max_", StringComparison.Ordinal)));
        }
    }

    [Fact]
    public async Task BudgetUsd_ForeignDialect_CapsOutputAndIsNotForwarded()
    {
        await using var gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.Answer = context => Json(context, Completion("ok"));
        using var served = await AskAsync(gateway, ",\"fairlead\":{\"budget_usd\":0.001}");
        var body = await served.Content.ReadAsStringAsync(Cancel);
        Assert.True(served.StatusCode == HttpStatusCode.OK, body);
        var sent = Assert.Single(_upstream.Received);
        Assert.False(sent.TryGetProperty("fairlead", out _));
        Assert.Contains(sent.EnumerateObject(), member => member.Name.StartsWith("max_", StringComparison.Ordinal) && member.Value.GetInt64() <= 100);

        using var refused = await AskAsync(gateway, ",\"max_tokens\":5000,\"fairlead\":{\"budget_usd\":0.001}");
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        var error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("error");
        Assert.Equal("fairlead.budget_usd", error.GetProperty("param").GetString());
    }

    [Fact]
    public async Task Job_ConcurrencyTaken_WaitsAndRuns()
    {
        await using var gateway = await StartAsync(new LimitSet { ConcurrentGenerations = 1, TokensPerDay = 1_000_000 });
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _upstream.Answer = async context =>
        {
            if (arrived.TrySetResult()) await release.Task;
            await Json(context, Completion("ok"));
        };
        var first = AskAsync(gateway, ",\"max_tokens\":10");
        await arrived.Task.WaitAsync(Cancel);
        using var refused = await AskAsync(gateway, ",\"max_tokens\":10");
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);

        using var job = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = new StringContent("""{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}""", System.Text.Encoding.UTF8, "application/json"),
        };
        job.Headers.Add("Prefer", "respond-async");
        using var accepted = await gateway.Client.SendAsync(job, Cancel);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var id = JsonDocument.Parse(await accepted.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("id").GetString();
        release.SetResult();
        using var served = await first;
        Assert.Equal(HttpStatusCode.OK, served.StatusCode);
        var done = await gateway.Client.GetJsonAsync($"/v2/generations/{id}?wait=60", HttpStatusCode.OK);
        Assert.Equal("completed", done.GetProperty("status").GetString());
        var ledger = gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        Assert.Equal((0, 0L), (ledger.Totals().Open, ledger.Totals().HeldTokens));
    }
}
