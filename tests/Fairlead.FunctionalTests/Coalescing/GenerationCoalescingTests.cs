using System.Text.Json;
using Fairlead.Coalescing;
using Fairlead.FunctionalTests.Caching;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Coalescing;

/// <summary>Identical generations that are in progress share one output, and one of the calls pays for it.</summary>
public sealed class GenerationCoalescingTests : IAsyncLifetime
{
    private const string Switched = "  coalescing: { generations: true }";

    /// <summary>What one generation costs: 11 input tokens of which 4 are cached, and 3 output tokens.</summary>
    private const decimal Price = ((7 * 1m) + (4 * 0.5m) + (3 * 10m)) / 1_000_000m;

    private readonly SemaphoreSlim _gate = new(0);
    private CacheWorld _world = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _world = await CacheWorld.StartAsync(Switched);
        _world.Upstream.Answer = GatedAsync;
    }

    public async ValueTask DisposeAsync()
    {
        _gate.Release(10_000);
        await _world.DisposeAsync();
        _gate.Dispose();
    }

    [Fact]
    public async Task HundredIdenticalCalls_StreamsAndWholes_ReachProviderOnce()
    {
        string[] bodies =
        [
            """{"model":"m","temperature":0,"messages":[{"role":"user","content":"x"}]}""",
            """{"stream":true,"messages":[{"content":"x","role":"user"}],"temperature":0,"model":"m"}""",
            """{"user":"u","model":"m","messages":[{"role":"user","content":"x"}],"stream":false,"temperature":0,"fairlead":{"deadline_ms":60000}}""",
        ];
        var calls = Enumerable.Range(0, 100).Select(i => SendAsync(bodies[i % bodies.Length])).ToArray();
        await MembersAsync(100);
        _gate.Release(10);
        var seen = await Task.WhenAll(calls);
        Assert.All(seen, one => Assert.Equal((200, "one two three"), (one.Status, one.Text)));
        Assert.Equal(1, _world.Calls);
        Assert.Equal(99, seen.Count(one => one.Is("coalesced")));
        Assert.Equal(Price, seen.Sum(CostOf));
        Assert.All(seen, one => Assert.Equal(11, one.Fairlead.GetProperty("usage").GetProperty("input_tokens").GetInt64()));
        var records = await _world.AuditAsync(100);
        Assert.Equal(Price, records.Sum(record => record.GetProperty("cost_usd").GetDecimal()));
        Assert.Equal(1, records.Sum(record => record.GetProperty("attempts").GetArrayLength()));
        AssertAtRest();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task LateCall_ReplaysFromTheStart(bool stream)
    {
        using var first = await OpenStreamAsync();
        await ReadUntilAsync(first, "one");
        var second = SendAsync(CacheWorld.Chat("x", "\"temperature\":0", stream));
        await MembersAsync(2);
        _gate.Release(10);
        Assert.Equal("one two three", (await second).Text);
        Assert.True((await second).Is("coalesced"));
        Assert.Equal(1, _world.Calls);
        var rest = await ReadToEndAsync(first);
        Assert.Contains("three", rest, StringComparison.Ordinal);
        await _world.AuditAsync(2);
        AssertAtRest();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task PayerLeaves_AtEveryStage_NextPaysAndGetsAll(int events)
    {
        using var leave = new CancellationTokenSource();
        var body = CacheWorld.Chat("x", "\"temperature\":0", stream: true);
        var leaving = _world.Gateway.Client.PostJsonAsync("/v1/chat/completions", body, cancellationToken: leave.Token);
        await UntilAsync(() => _world.Calls == 1);
        HttpResponseMessage? response = null;
        if (events > 0)
        {
            _gate.Release(events);
            response = await leaving;
            await ReadUntilAsync(response, events == 1 ? "one" : "two");
        }
        var second = SendAsync(CacheWorld.Chat("x", "\"temperature\":0"));
        var third = SendAsync(body);
        await MembersAsync(3);
        response?.Dispose();
        await leave.CancelAsync();
        var left = Assert.Single(await _world.AuditAsync(1));
        Assert.Equal(("cancelled", 0m), (left.GetProperty("outcome").GetString(), left.GetProperty("cost_usd").GetDecimal()));
        _gate.Release(10);
        Seen[] seen = [await second, await third];
        Assert.All(seen, one => Assert.Equal("one two three", one.Text));
        Assert.Equal(Price, seen.Sum(CostOf));
        Assert.Single(seen, one => one.Is("coalesced"));
        Assert.Equal(1, _world.Calls);
        Assert.False(_world.Upstream.Aborted.Task.IsCompleted);
        Assert.Equal(Price, (await _world.AuditAsync(3)).Sum(record => record.GetProperty("cost_usd").GetDecimal()));
        AssertAtRest();
        if (events == 0) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
    }

    [Fact]
    public async Task FollowerLeaves_OthersGetAll()
    {
        using var first = await OpenStreamAsync();
        await ReadUntilAsync(first, "one");
        using var leave = new CancellationTokenSource();
        var leaving = _world.Gateway.Client.PostJsonAsync("/v1/chat/completions", CacheWorld.Chat("x", "\"temperature\":0"), cancellationToken: leave.Token);
        await MembersAsync(2);
        await leave.CancelAsync();
        Assert.Equal(0m, Assert.Single(await _world.AuditAsync(1)).GetProperty("cost_usd").GetDecimal());
        _gate.Release(10);
        Assert.Contains("three", await ReadToEndAsync(first), StringComparison.Ordinal);
        Assert.Equal(Price, (await _world.AuditAsync(2)).Sum(record => record.GetProperty("cost_usd").GetDecimal()));
        AssertAtRest();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
    }

    [Fact]
    public async Task AllLeave_RequestIsAborted()
    {
        using (var first = await OpenStreamAsync())
        {
            await ReadUntilAsync(first, "one");
            var second = await OpenStreamAsync(released: 0);
            await ReadUntilAsync(second, "one");
            second.Dispose();
        }
        await _world.Upstream.Aborted.Task.WaitAsync(TimeSpan.FromSeconds(60), Token);
        // What was generated is charged once, as an estimate.
        var records = await _world.AuditAsync(2);
        Assert.Single(records, record => record.GetProperty("cost_usd").GetDecimal() > 0);
        AssertAtRest();
    }

    [Fact]
    public async Task OtherClassOrChance_DoesNotShare()
    {
        var calls = new[]
        {
            SendAsync(CacheWorld.Chat("x", "\"temperature\":0")),
            SendAsync(CacheWorld.Chat("x", "\"temperature\":0,\"fairlead\":{\"class\":\"realtime\"}")),
            SendAsync(CacheWorld.Chat("x", "\"temperature\":0,\"seed\":7")),
            SendAsync(CacheWorld.Chat("x", "\"temperature\":1")),
            SendAsync(CacheWorld.Chat("x", "\"temperature\":1")),
        };
        await UntilAsync(() => _world.Calls == 5);
        _gate.Release(100);
        Assert.All(await Task.WhenAll(calls), one => Assert.False(one.Is("coalesced")));
        AssertAtRest();
    }

    [Fact]
    public async Task ProviderFails_AllGetTheError()
    {
        _world.Upstream.Answer = async context =>
        {
            await _gate.WaitAsync(context.RequestAborted);
            await FakeUpstream.Json(context, """{"error":{"message":"no","type":"invalid_request_error"}}""", 422);
        };
        var calls = Enumerable.Range(0, 5).Select(i => SendAsync(CacheWorld.Chat("x", "\"temperature\":0", stream: i % 2 == 0))).ToArray();
        await MembersAsync(5);
        _gate.Release(10);
        var seen = await Task.WhenAll(calls);
        Assert.Single(seen.Select(one => one.Status).Distinct());
        Assert.All(seen, one => Assert.Equal("provider_rejected", one.Json.GetProperty("error").GetProperty("code").GetString()));
        Assert.Equal(1, _world.Calls);
        await _world.AuditAsync(5);
        AssertAtRest();
    }

    [Fact]
    public async Task StreamBreaks_AllGetAnError()
    {
        _world.Upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"one"}"""));
            await _gate.WaitAsync(context.RequestAborted);
            FakeUpstream.Cut(context);
        };
        using var first = await OpenStreamAsync(released: 0);
        await ReadUntilAsync(first, "one");
        var whole = SendAsync(CacheWorld.Chat("x", "\"temperature\":0"));
        await MembersAsync(2);
        // The run that is to continue the stream breaks too.
        _gate.Release(10);
        Assert.Equal(502, (await whole).Status);
        var stream = await SeenStream.ReadAsync(first, Token);
        Assert.True(stream.Broken || stream.Raw.Contains("error", StringComparison.Ordinal));
        // The one that started it pays, whoever notices the end first.
        var records = await _world.AuditAsync(2);
        var paid = Assert.Single(records, record => record.GetProperty("cost_usd").GetDecimal() > 0);
        Assert.Equal(_world.Calls, paid.GetProperty("attempts").GetArrayLength());
        Assert.True(Assert.Single(records, record => record.GetProperty("parameters").GetProperty("stream").GetBoolean()).GetProperty("cost_usd").GetDecimal() > 0);
        AssertAtRest();
    }

    private async Task GatedAsync(HttpContext context)
    {
        var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
        if (!request.TryGetProperty("stream", out var stream) || !stream.GetBoolean())
        {
            await _gate.WaitAsync(context.RequestAborted);
            await FakeUpstream.Json(context, FakeUpstream.Completion("one two three"));
            return;
        }
        await FakeUpstream.BeginAsync(context);
        foreach (var word in new[] { "one", " two", " three" })
        {
            await _gate.WaitAsync(context.RequestAborted);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk($$"""{"content":"{{word}}"}"""));
        }
        await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
    }

    private static decimal CostOf(Seen seen) => seen.Fairlead.GetProperty("cost").GetProperty("usd").GetDecimal();

    private Task<Seen> SendAsync(string body) => _world.SendAsync(body);

    private async Task<HttpResponseMessage> OpenStreamAsync(int released = 1)
    {
        if (released > 0) _gate.Release(released);
        return await _world.Gateway.Client.PostJsonAsync("/v1/chat/completions", CacheWorld.Chat("x", "\"temperature\":0", stream: true));
    }

    private static async Task ReadUntilAsync(HttpResponseMessage response, string text)
    {
        var stream = await response.Content.ReadAsStreamAsync(Token);
        var seen = "";
        var buffer = new byte[1];
        while (!seen.Contains(text, StringComparison.Ordinal))
        {
            Assert.Equal(1, await stream.ReadAsync(buffer, Token));
            seen += (char)buffer[0];
        }
    }

    private static async Task<string> ReadToEndAsync(HttpResponseMessage response)
    {
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Token));
        return await reader.ReadToEndAsync(Token);
    }

    private Task MembersAsync(int count) => UntilAsync(() => _world.Gateway.Services.GetRequiredService<GenerationFlights>().Members == count);

    private static async Task UntilAsync(Func<bool> condition)
    {
        while (!condition()) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
    }

    private void AssertAtRest()
    {
        Assert.Equal(0, _world.Gateway.Services.GetRequiredService<GenerationFlights>().Count);
        _world.AssertAtRest();
    }
}
