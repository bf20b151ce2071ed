using System.Text.Json;
using Fairlead.Coalescing;
using Fairlead.FunctionalTests.Caching;
using Fairlead.FunctionalTests.Common;
using Fairlead.Generations.Events;
using Fairlead.Tests.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Coalescing;

/// <summary>What goes wrong in a shared generation, or for the call that started it, is told to all and charged once.</summary>
public sealed class GenerationFaultTests : IAsyncDisposable
{
    private const string Switched = "  coalescing: { generations: true }\n  retry: { baseDelay: 1ms, maxDelay: 2ms }";

    private readonly SemaphoreSlim _gate = new(0);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync()
    {
        _gate.Dispose();
        return ValueTask.CompletedTask;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task DamagedEvent_WithCache_AllAreWarnedAndNothingIsKept(bool stream)
    {
        await using var world = await CacheWorld.StartAsync(CacheWorld.Cache + "\n" + Switched);
        world.Upstream.Answer = async context =>
        {
            await _gate.WaitAsync(context.RequestAborted);
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"one"}"""), "{\"choices\":[{\"delta\":{\"content\":\" two", FakeUpstream.Chunk("""{"content":" three"}"""),
                FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        var calls = Enumerable.Range(0, 3).Select(_ => world.SendAsync(CacheWorld.Chat(stream: stream))).ToArray();
        await MembersAsync(world, 3);
        _gate.Release();
        var seen = await Task.WhenAll(calls);
        Assert.Equal(2, seen.Count(one => one.Is("coalesced")));
        Assert.All(seen, one => Assert.Contains("malformed_events_skipped", one.Fairlead.GetProperty("warnings").GetRawText(), StringComparison.Ordinal));
        _gate.Release();
        Assert.Equal("miss", (await world.SendAsync(CacheWorld.Chat(stream: stream))).Cache);
        AssertAtRest(world);
    }

    [Fact]
    public async Task Undamaged_WithCache_IsKept()
    {
        await using var world = await CacheWorld.StartAsync(CacheWorld.Cache + "\n" + Switched);
        var made = await world.SendAsync(CacheWorld.Chat());
        var hit = await world.SendAsync(CacheWorld.Chat());
        Assert.Equal(("miss", "hit", made.Text), (made.Cache, hit.Cache, hit.Text));
        AssertAtRest(world);
    }

    [Fact]
    public async Task VoidAttempt_LeavesNothingBehind()
    {
        await using var world = await CacheWorld.StartAsync(Switched);
        world.Upstream.Answer = async context =>
        {
            var isFirst = world.Calls == 1;
            await _gate.WaitAsync(context.RequestAborted);
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant"}"""));
            if (isFirst) await FakeUpstream.SendAsync(context, FakeUpstream.UsageChunk().Replace(":11,", ":5000,", StringComparison.Ordinal));
            else await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"content":"good"}"""), FakeUpstream.Chunk("{}", "stop"), "[DONE]");
        };
        var calls = Enumerable.Range(0, 2).Select(_ => world.SendAsync(CacheWorld.Chat("x", "\"temperature\":0"))).ToArray();
        await MembersAsync(world, 2);
        _gate.Release(2);
        var seen = await Task.WhenAll(calls);
        Assert.Equal(2, world.Calls);
        // The good attempt reports no usage. That of the void one is not taken for it.
        Assert.All(seen, one =>
        {
            Assert.Equal("good", one.Text);
            Assert.InRange(one.Fairlead.GetProperty("usage").GetProperty("input_tokens").GetInt64(), 1, 100);
        });
        AssertAtRest(world);
    }

    [Fact]
    public async Task VoidAttempts_AllFail_NoMemoryIsHeld()
    {
        await using var world = await CacheWorld.StartAsync(Switched);
        world.Upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("""{"role":"assistant"}"""), FakeUpstream.UsageChunk());
        };
        Assert.True((await world.SendAsync(CacheWorld.Chat("x", "\"temperature\":0"))).Status >= 500);
        AssertAtRest(world);
    }

    [Fact]
    public async Task FirstCallHasDeadline_ProviderIsDown_OthersTryThemselves()
    {
        await using var world = await CacheWorld.StartAsync("  coalescing: { generations: true }\n  retry: { maxRetries: 0 }");
        world.Upstream.Answer = async context =>
        {
            var isFirst = world.Calls == 1;
            await _gate.WaitAsync(context.RequestAborted);
            if (isFirst) await FakeUpstream.Json(context, """{"error":{"message":"down"}}""", 503);
            else await CacheWorld.AnswerAsync(context, "good");
        };
        var first = world.SendAsync(CacheWorld.Chat("x", "\"temperature\":0,\"fairlead\":{\"deadline_ms\":60000}"));
        await MembersAsync(world, 1);
        var others = Enumerable.Range(0, 3).Select(_ => world.SendAsync(CacheWorld.Chat("x", "\"temperature\":0"))).ToArray();
        await MembersAsync(world, 4);
        _gate.Release(10);
        Assert.True((await first).Status >= 500);
        Assert.All(await Task.WhenAll(others), one => Assert.Equal((200, "good"), (one.Status, one.Text)));
        AssertAtRest(world);
    }

    [Fact]
    public async Task FirstCallMovesToLargerModel_OthersReserveForItThemselves()
    {
        await using var world = await CacheWorld.StartAsync("""
                s: { contextWindow: 8000, maxOutputTokens: 2000, onOverflow: big, tokenizer: o200k, capabilities: { tools: false }, prices: { input: 1, output: 10 }, deployments: [{ provider: up, model: upstream-s }] }
                big: { contextWindow: 80000, maxOutputTokens: 2000, tokenizer: o200k, capabilities: { tools: false }, prices: { input: 100, output: 1000 }, deployments: [{ provider: up, model: upstream-big }] }
              coalescing: { generations: true }
            """);
        world.Upstream.Answer = async context =>
        {
            var request = (JsonElement)context.Items[FakeUpstream.RequestItem]!;
            await _gate.WaitAsync(context.RequestAborted);
            if (request.GetProperty("model").GetString() == "upstream-big") await CacheWorld.AnswerAsync(context, "large");
            else await FakeUpstream.Json(context, """{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}""", 400);
        };
        const string Body = """{"model":"s","temperature":0,"messages":[{"role":"user","content":"x"}]}""";
        var calls = Enumerable.Range(0, 3).Select(_ => world.SendAsync(Body)).ToArray();
        await MembersAsync(world, 3);
        _gate.Release(10);
        var seen = await Task.WhenAll(calls);
        Assert.All(seen, one =>
        {
            Assert.Equal((200, "large", false), (one.Status, one.Text, one.Is("coalesced")));
            Assert.Contains("larger_model", one.Fairlead.GetProperty("warnings").GetRawText(), StringComparison.Ordinal);
            Assert.True(one.Fairlead.GetProperty("cost").GetProperty("usd").GetDecimal() > 0);
        });
        AssertAtRest(world);
    }

    [Fact]
    public async Task OutputLargerThanLog_AllGetAll()
    {
        const int Chunks = 400;
        await using var world = await CacheWorld.StartAsync(Switched);
        var text = new string('a', 8000);
        world.Upstream.Answer = async context =>
        {
            await FakeUpstream.BeginAsync(context);
            await _gate.WaitAsync(context.RequestAborted);
            for (var i = 0; i < Chunks; i++) await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{\"content\":\"" + text + "\"}"));
            await FakeUpstream.SendAsync(context, FakeUpstream.Chunk("{}", "stop"), FakeUpstream.UsageChunk(), "[DONE]");
        };
        var calls = Enumerable.Range(0, 3).Select(_ => world.SendAsync(CacheWorld.Chat("x", "\"temperature\":0"))).ToArray();
        await MembersAsync(world, 3);
        _gate.Release();
        Assert.All(await Task.WhenAll(calls), one => Assert.Equal((200, Chunks * text.Length), (one.Status, one.Text.Length)));
        Assert.Equal(1, world.Calls);

        // A client that is alone and slow is only slow.
        using var slow = await world.Gateway.Client.PostJsonAsync("/v1/chat/completions", CacheWorld.Chat("y", "\"temperature\":0", stream: true));
        _gate.Release();
        using var reader = new StreamReader(await slow.Content.ReadAsStreamAsync(Token));
        Assert.Equal(Chunks, (await reader.ReadToEndAsync(Token)).Split(text).Length - 1);
        AssertAtRest(world);
    }

    private static Task MembersAsync(CacheWorld world, int count) =>
        UntilAsync(() => world.Gateway.Services.GetRequiredService<GenerationFlights>().Members == count);

    private static async Task UntilAsync(Func<bool> condition)
    {
        while (!condition()) await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Token);
    }

    private static void AssertAtRest(CacheWorld world)
    {
        Assert.Equal(0, world.Gateway.Services.GetRequiredService<GenerationFlights>().Count);
        Assert.Equal(0, world.Gateway.Services.GetRequiredService<EventMemory>().Used);
        world.AssertAtRest();
    }
}
