using System.Net;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.FunctionalTests.Common;
using Fairlead.FunctionalTests.Limits;
using Fairlead.Limits;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Money = Fairlead.Conversation.Money;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Pipeline;

/// <summary>Ends of calls that are easily written down wrong.</summary>
public sealed class BooksTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private TestGateway? _gateway;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync();

    public async ValueTask DisposeAsync()
    {
        if (_gateway is not null) await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Upstream_StaysOpenAfterFinish_EndsNormallyAfterShortWait(bool messages)
    {
        // Where only the wait for any other piece counts, this outlives the limit of a call.
        _gateway = await TestGateway.StartAsync(_upstream.Yaml().Replace("model: upstream-m }", "model: upstream-m, timeouts: { streamIdle: 1h } }", StringComparison.Ordinal));
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"all of it"}"""), Chunk("{}", "stop"));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        };
        using var response = await _gateway.Client.PostJsonAsync(messages ? "/v1/messages" : "/v1/chat/completions", """{"model":"m","max_tokens":20,"stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.False(stream.Broken);
        Assert.DoesNotContain("\"error\"", stream.Raw, StringComparison.Ordinal);
        var record = Assert.Single(await AuditAsync());
        Assert.Equal("complete", record.GetProperty("outcome").GetString());
        Assert.True(record.GetProperty("cost_usd").GetDecimal() > 0);
        Assert.Equal("estimated", record.GetProperty("usage").GetProperty("basis").GetString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    public async Task Upstream_EmptyOrNullTextFinishReason_IsNotAFinish(string nothing)
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"half of "}""", nothing), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/messages", """{"model":"m","max_tokens":20,"stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.DoesNotContain("message_stop", stream.Raw, StringComparison.Ordinal);
        Assert.Equal("provider_lost", Assert.Single(await AuditAsync()).GetProperty("outcome").GetString());
    }

    [Fact]
    public async Task Upstream_FewerChoicesThanRequested_CompletesWithWarning()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        _upstream.Answer = async context =>
        {
            await BeginAsync(context);
            await SendAsync(context, Chunk("""{"role":"assistant","content":"first"}"""), Chunk("{}", "stop"), Chunk("{}", "stop"), "[DONE]");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","n":2,"stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        var stream = await SeenStream.ReadAsync(response, Cancel);
        Assert.Equal("[DONE]", stream.Events[^1].Data);
        Assert.Contains("fewer_choices", stream.Raw, StringComparison.Ordinal);
        Assert.Equal("complete", Assert.Single(await AuditAsync()).GetProperty("outcome").GetString());
    }

    [Fact]
    public async Task BestOf_EveryCompletion_IsReservedThenReleased()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        var ledger = _gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        var held = 0m;
        _upstream.Answer = async context =>
        {
            held = ledger.Totals().HeldUsd;
            await Json(context, $$"""{"id":"cmpl-up","object":"text_completion","created":1700000000,"model":"upstream-m","choices":[{"index":0,"text":"the best","logprobs":null,"finish_reason":"stop"}],"usage":{{Usage}}}""");
        };
        using var response = await _gateway.Client.PostJsonAsync("/v1/completions", """{"model":"m","prompt":["one","two"],"best_of":5,"max_tokens":100}""");
        var body = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, body);
        // Two prompts, five completions of a hundred tokens for each, at ten dollars a million.
        Assert.True(held >= 0.01m, $"{held} was held");
        Assert.Equal((0, 0m, 0), (ledger.Totals().HeldTokens, ledger.Totals().HeldUsd, ledger.Totals().Open));
    }

    [Fact]
    public async Task Attempt_FailedAfterCost_CountsForLimitsButNotInResponseUsage()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        var ledger = _gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        var calls = 0;
        _upstream.Answer = context => Json(context, Interlocked.Increment(ref calls) == 1
            ? $$"""{"id":"chatcmpl-up","object":"chat.completion","created":1700000000,"model":"upstream-m","choices":[],"usage":{{Usage}}}"""
            : Completion("hello"));
        using var response = await _gateway.Client.PostJsonAsync("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}]}""");
        var body = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, body);
        Assert.Equal(2, calls);
        Assert.Contains("\"total_tokens\":14", body, StringComparison.Ordinal);
        // The response: 7 + 4 cached + 3 out, at 1, 0.5 and 10 dollars a million. The failed attempt: its input, as it is estimated.
        Assert.Equal((14 + 8, 0.000039m + 0.000008m), (ledger.Totals().UsedTokens, ledger.Totals().UsedUsd));
    }

    [Fact]
    public async Task CacheWrite_OneHourTtl_ReservesAtOneHourPriceOnAnyServer()
    {
        // Only a budget of money asks for the price.
        _gateway = await TestGateway.StartAsync(_upstream.Yaml(), (builder, _) => builder.Services.AddModelLimits(new LimitSet { PicoUsdPerDay = Money.ToPico(100) }));
        var ledger = _gateway.Services.GetRequiredService<InMemoryTokenLedger>();
        var held = new List<decimal>();
        _upstream.Answer = async context =>
        {
            held.Add(ledger.Totals().HeldUsd);
            await Json(context, Completion("hello"));
        };
        foreach (var ttl in (string[])["5m", "1h"])
        {
            using var response = await _gateway.Client.PostJsonAsync("/v1/messages", $$"""{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"{{new string('x', 4000)}}","cache_control":{"type":"ephemeral","ttl":"{{ttl}}"} }]}]}""");
            var body = await response.Content.ReadAsStringAsync(Cancel);
            Assert.True(response.StatusCode == HttpStatusCode.OK, body);
        }
        // Nearly all of it is input, which costs 1.6 times as much when it is written to such a cache.
        Assert.InRange(held[1] / held[0], 1.55m, 1.61m);
    }

    [Fact]
    public async Task CountTokens_AboveContextWindow_StillCounts()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        var text = string.Concat(Enumerable.Repeat("many words ", 9000));
        using var response = await _gateway.Client.PostJsonAsync("/v1/messages/count_tokens", $$"""{"model":"m","messages":[{"role":"user","content":"{{text}}"}]}""");
        var body = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.StatusCode == HttpStatusCode.OK, body);
        Assert.True(JsonDocument.Parse(body).RootElement.GetProperty("input_tokens").GetInt64() > 8000);
    }

    [Fact]
    public async Task AuditRecord_RefusedRequest_IsWrittenOnlyForKnownKey()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        const string Body = """{"model":"m","messages":[{"role":"user","content":"hi"}]}""";
        var (scopeless, scopelessId) = await _gateway.MakeKeyAsync("\"scopes\":[\"embeddings\"]");
        var (revoked, revokedId) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        await _gateway.Admin.PostForJsonAsync($"/admin/v1/keys/{revokedId}/revoke", "{}");
        foreach (var (key, status) in new[] { (scopeless, 403), (revoked, 401), (revoked[..^10] + "aaaaaaaaaa", 401), ("nonsense", 401) })
        {
            using var client = _gateway.MakeClient(key);
            using var response = await client.PostJsonAsync("/v1/chat/completions", Body);
            Assert.Equal(status, (int)response.StatusCode);
        }
        Assert.Empty(_upstream.Received);
        var records = await AuditAsync();
        Assert.Equal(
            [(scopelessId, "insufficient_scope", 403), (revokedId, "key_revoked", 401)],
            records.OrderBy(record => record.GetProperty("sequence").GetInt64()).Select(record => (record.GetProperty("key_id").GetString()!, record.GetProperty("error_code").GetString()!, record.GetProperty("status").GetInt32())));
        Assert.All(records, record => Assert.Equal("failed", record.GetProperty("outcome").GetString()));
    }

    [Fact]
    public async Task RevokedKey_RequestFlood_IsAuditedOncePerSecond()
    {
        _gateway = await TestGateway.StartAsync(_upstream.Yaml());
        var (key, id) = await _gateway.MakeKeyAsync("\"scopes\":[\"chat\"]");
        await _gateway.Admin.PostForJsonAsync($"/admin/v1/keys/{id}/revoke", "{}");
        using var client = _gateway.MakeClient(key);
        var since = TimeProvider.System.GetTimestamp();
        long calls = 0;
        long told = 0;
        List<JsonElement> records;
        do
        {
            for (var i = 0; i < 20; i++, calls++)
            {
                using var response = await client.PostJsonAsync("/v1/chat/completions", "{}");
                Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
            }
            records = await AuditAsync();
            told = records.Sum(record => 1 + (record.TryGetProperty("suppressed", out var suppressed) ? suppressed.GetInt64() : 0));
            Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(60));
        }
        while (told == records.Count);
        Assert.True(records.Count <= 1 + (int)TimeProvider.System.GetElapsedTime(since).TotalSeconds, $"{records.Count} records");
        Assert.True(told <= calls);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task CustomChatClient_ThrowsWhenCancelled_SettlesCallAndTokenStaysUsable(bool stream)
    {
        var odd = new ThrowsWhenCancelled();
        _gateway = await TestGateway.StartAsync(null, (_, fairlead) => fairlead.AddChatModel("odd", _ => odd));
        using (var leave = CancellationTokenSource.CreateLinkedTokenSource(Cancel))
        {
            var call = _gateway.Client.PostJsonAsync("/v1/chat/completions", $$"""{"model":"odd","stream":{{(stream ? "true" : "false")}},"messages":[{"role":"user","content":"hi"}]}""", cancellationToken: leave.Token);
            await odd.Waiting.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancel);
            await leave.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        }
        await odd.Cancelled.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancel);
        // The token is never reused for another call, so later use is safe.
        Assert.True(odd.Token.IsCancellationRequested);
        using var late = odd.Token.Register(static () => { });
        var since = TimeProvider.System.GetTimestamp();
        List<JsonElement> records;
        while ((records = await AuditAsync()).Count == 0) Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(60));
        Assert.Equal("cancelled", Assert.Single(records).GetProperty("outcome").GetString());
    }

    private async Task<List<JsonElement>> AuditAsync()
    {
        using var response = await _gateway!.Admin.GetAsync(new Uri("/admin/v1/audit", UriKind.Relative), Cancel);
        return [.. JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("data").EnumerateArray()];
    }

    private sealed class ThrowsWhenCancelled : IChatClient
    {
        public TaskCompletionSource Waiting { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Cancelled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public CancellationToken Token { get; private set; }

        public async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
        {
            await WaitAsync(cancellationToken);
            return new ChatResponse();
        }

        public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
            IEnumerable<ChatMessage> messages, ChatOptions? options = null, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            await WaitAsync(cancellationToken);
            yield break;
        }

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }

        private Task WaitAsync(CancellationToken cancellationToken)
        {
            Token = cancellationToken;
            cancellationToken.Register(() =>
            {
                Cancelled.TrySetResult();
                throw new InvalidOperationException("a bug of the builder's");
            });
            Waiting.TrySetResult();
            return Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
        }
    }
}
