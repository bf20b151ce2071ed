using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Pipeline;

public sealed class SqliteReconciliationTests() : ReconciliationTests(StorageProvider.Sqlite);

public sealed class PostgresReconciliationTests() : ReconciliationTests(StorageProvider.Postgres);

/// <summary>What providers report against what is charged, after calls that end in every way.</summary>
public abstract class ReconciliationTests : IAsyncLifetime
{
    private readonly StorageProvider _provider;
    private FakeUpstream _upstream = null!;
    private TestGateway _gateway = null!;

    private protected ReconciliationTests(StorageProvider provider) => _provider = provider;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _gateway = await TestGateway.StartAsync(_provider, _upstream.Yaml());
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Calls_ReportedByProvider_HaveNoDifference()
    {
        await CallAsync(stream: false, context => Json(context, Completion("hello")));
        await CallAsync(stream: true, async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"hello"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        });
        var line = await LineAsync();
        Assert.Equal((2, 22, 8, 6), (Number(line, "attempts"), Number(line.GetProperty("reported"), "input_tokens"), Number(line.GetProperty("reported"), "cached_input_tokens"), Number(line.GetProperty("reported"), "output_tokens")));
        Assert.Equal(line.GetProperty("reported").ToString(), line.GetProperty("charged").ToString());
        Assert.Equal(0.000078m, line.GetProperty("charged").GetProperty("cost_usd").GetDecimal());
        Assert.Equal(0m, line.GetProperty("difference").GetProperty("cost_usd").GetDecimal());
        Assert.Equal(0, line.GetProperty("causes").GetArrayLength());
    }

    [Fact]
    public async Task Calls_WithoutUsage_AreEstimated()
    {
        foreach (var usage in new[] { "null", """{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}""" })
            await CallAsync(stream: false, context => Json(context, Completion("hello to all of you").Replace(FakeUpstream.Usage, usage, StringComparison.Ordinal)));
        await AssertCauseAsync("estimated", attempts: 2, reportedInput: 0);
    }

    [Fact]
    public async Task Stream_CutByProvider_IsCut()
    {
        await CallAsync(stream: true, async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"half of the response"}"""));
        });
        await AssertCauseAsync("cut", attempts: 1, reportedInput: 0);
    }

    [Fact]
    public async Task Stream_ClientLeft_IsCut()
    {
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"half of the response"}"""));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        using (var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions"))
        {
            request.Content = new StringContent(Body(stream: true), System.Text.Encoding.UTF8, "application/json");
            using var response = await _gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
            await using var body = await response.Content.ReadAsStreamAsync(Cancel);
            Assert.True(await body.ReadAsync(new byte[64], Cancel) > 0);
        }
        await _upstream.Aborted.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancel);
        // The record is written after the provider's connection is closed.
        while (JsonDocument.Parse(await _gateway.Admin.GetStringAsync(new Uri("/admin/v1/audit", UriKind.Relative), Cancel)).RootElement.GetProperty("data").GetArrayLength() == 0)
            await Task.Yield();
        await AssertCauseAsync("cut", attempts: 1, reportedInput: 0);
    }

    [Fact]
    public async Task Attempt_FailedAfterCost_IsRetried()
    {
        var calls = 0;
        await CallAsync(stream: false, context => Json(context, Interlocked.Increment(ref calls) == 1
            ? $$"""{"id":"chatcmpl-up","object":"chat.completion","created":1700000000,"model":"upstream-m","choices":[]}"""
            : Completion("hello")));
        Assert.Equal(2, calls);
        await AssertCauseAsync("retried", attempts: 2, reportedInput: 11);
    }

    [Fact]
    public async Task Calls_RefusedByProvider_AreLeftOut()
    {
        using var response = await PostAsync(stream: false, context => Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", 400));
        Assert.False(response.IsSuccessStatusCode);
        Assert.Equal(0, (await ReadAsync()).GetProperty("data").GetArrayLength());
    }

    private async Task AssertCauseAsync(string cause, int attempts, int reportedInput)
    {
        var line = await LineAsync();
        Assert.Equal((attempts, reportedInput), (Number(line, "attempts"), Number(line.GetProperty("reported"), "input_tokens")));
        var only = Assert.Single(line.GetProperty("causes").EnumerateArray());
        Assert.Equal(cause, only.GetProperty("cause").GetString());
        var difference = line.GetProperty("difference");
        Assert.True(difference.GetProperty("cost_usd").GetDecimal() > 0, line.ToString());
        foreach (var member in difference.EnumerateObject())
        {
            Assert.Equal(line.GetProperty("charged").GetProperty(member.Name).GetDecimal() - line.GetProperty("reported").GetProperty(member.Name).GetDecimal(), member.Value.GetDecimal());
            Assert.Equal(member.Value.GetDecimal(), only.GetProperty(member.Name).GetDecimal());
        }
        // The record states the same cause.
        var record = JsonDocument.Parse(await _gateway.Admin.GetStringAsync(new Uri("/admin/v1/audit?limit=1", UriKind.Relative), Cancel)).RootElement.GetProperty("data")[0];
        Assert.Equal(cause, record.GetProperty("attempts")[0].GetProperty("difference").GetString());
        var usage = JsonDocument.Parse(await _gateway.Admin.GetStringAsync(new Uri("/admin/v1/usage", UriKind.Relative), Cancel)).RootElement;
        Assert.Equal(usage.GetProperty("totals").GetProperty("cost_usd").GetDecimal(), line.GetProperty("charged").GetProperty("cost_usd").GetDecimal());
    }

    private static int Number(JsonElement owner, string name) => owner.GetProperty(name).GetInt32();

    private async Task<JsonElement> LineAsync()
    {
        var line = Assert.Single((await ReadAsync()).GetProperty("data").EnumerateArray());
        Assert.Equal(("up", "upstream-m"), (line.GetProperty("provider").GetString(), line.GetProperty("model").GetString()));
        return line;
    }

    private async Task<JsonElement> ReadAsync() =>
        JsonDocument.Parse(await _gateway.Admin.GetStringAsync(new Uri("/admin/v1/reconciliation", UriKind.Relative), Cancel)).RootElement;

    private static string Body(bool stream) => $$"""{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"Say hello."}],"stream":{{(stream ? "true" : "false")}}}""";

    private Task<HttpResponseMessage> PostAsync(bool stream, Func<HttpContext, Task> answer)
    {
        _upstream.Answer = answer;
        return _gateway.Client.PostJsonAsync("/v1/chat/completions", Body(stream));
    }

    private async Task CallAsync(bool stream, Func<HttpContext, Task> answer)
    {
        using var response = await PostAsync(stream, answer);
        if (stream) await SeenStream.ReadAsync(response, Cancel);
        else Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Cancel));
    }
}
