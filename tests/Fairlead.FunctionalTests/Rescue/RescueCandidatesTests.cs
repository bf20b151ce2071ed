using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Rescue;

/// <summary>Which deployments continue a lost stream: none that was silent, none that the call may not use, none that cannot catch up.</summary>
public sealed class RescueCandidatesTests
{
    private const string Request = """{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}""";

    private static readonly string[] Sent = [Chunk("""{"role":"assistant","content":"Hello, "}"""), Chunk("""{"content":"wide"}""")];

    private static readonly string[] Whole = [Chunk("""{"role":"assistant","content":"Hello, wide world"}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]"];

    [Fact]
    public async Task Stalled_OtherIsDown_IsNotAskedAgain()
    {
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("stall", Sent);
        world.Second.Answer = context => Json(context, """{"error":{"message":"down"}}""", 503);
        var last = LastOf(await world.StreamAsync("/v1/chat/completions", Request));
        Assert.Equal((1, 1), (world.First.Requests.Count, world.Second.Requests.Count));
        Assert.Equal("provider_lost", last.GetProperty("outcome").GetString());
    }

    [Theory]
    [InlineData("stall", "\"temperature\":0,", 1)]
    [InlineData("end", "", 1)]
    [InlineData("end", "\"temperature\":0,", 2)]
    [InlineData("error", "\"seed\":7,", 2)]
    public async Task OnlyOneMayBeUsed_IsAskedAgainOnceIfOutputRepeatsAndItWasNotSilent(string fault, string sampling, int requests)
    {
        await using var world = await RescueWorld.StartAsync();
        var calls = 0;
        world.First.Answer = context => (Interlocked.Increment(ref calls) == 1 ? RescueWorld.Losing(fault, Sent) : RescueWorld.Serving(Whole))(context);
        world.Second.Answer = RescueWorld.Serving(Whole);
        var seen = await world.StreamAsync("/v1/chat/completions",
            Request.Replace("{\"model\"", "{" + sampling + "\"fairlead\":{\"route\":{\"only\":[\"one\"]}},\"model\"", StringComparison.Ordinal));
        Assert.Equal((requests, 0), (world.First.Requests.Count, world.Second.Requests.Count));
        Assert.Equal(requests == 2 ? "complete" : "provider_lost", LastOf(seen).GetProperty("outcome").GetString());
        Assert.Equal(requests == 2 ? "Hello, wide world" : "Hello, wide", TextOf(seen));
        // Nothing was tried.
        if (requests == 1) Assert.DoesNotContain("rescue_failed", seen.Raw, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OnlyOneMayBeUsed_LostTwice_IsNotAskedThreeTimes()
    {
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("end", Sent);
        await world.StreamAsync("/v1/chat/completions",
            Request.Replace("{\"model\"", "{\"temperature\":0,\"fairlead\":{\"route\":{\"only\":[\"one\"]}},\"model\"", StringComparison.Ordinal));
        Assert.Equal(2, world.First.Requests.Count);
    }

    [Fact]
    public async Task TotalTimePassed_NoRunOfTheSameTimeFollows()
    {
        await using var world = await RescueWorld.StartAsync(timeouts: "streamIdle: 30s, total: 400ms");
        world.First.Answer = RescueWorld.Losing("stall", Sent);
        world.Second.Answer = RescueWorld.Serving(Whole);
        var last = LastOf(await world.StreamAsync("/v1/chat/completions", Request));
        Assert.Equal("provider_lost", last.GetProperty("outcome").GetString());
        Assert.Empty(world.Second.Requests);
    }

    [Fact]
    public async Task DeadlineWhileCatchingUp_ResponseIsThatOfTheLostAttempt()
    {
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Losing("stall", Sent[0]);
        var last = LastOf(await world.StreamAsync("/v1/chat/completions",
            Request.Replace("{\"model\"", "{\"fairlead\":{\"deadline_ms\":1500},\"model\"", StringComparison.Ordinal)));
        var attempts = last.GetProperty("attempts").EnumerateArray().ToList();
        Assert.Equal(2, attempts.Count);
        Assert.Equal("one", last.GetProperty("provider").GetString());
        Assert.Equal("provider_lost", attempts[0].GetProperty("outcome").GetString());
        Assert.NotEqual("provider_lost", last.GetProperty("outcome").GetString());
        Assert.Equal(attempts.Sum(attempt => attempt.GetProperty("cost_usd").GetDecimal()), last.GetProperty("cost").GetProperty("usd").GetDecimal());
    }

    [Theory]
    [InlineData(0, "provider_lost")]
    [InlineData(1, "complete")]
    public async Task EventThatCannotBeRead_EndsTheRescueOnlyBeforeItCaughtUp(int at, string outcome)
    {
        string[] events = [.. Whole];
        // Two members of one name: no tree can be made of it.
        events[at] = at == 0 ? events[0].Replace("\"delta\"", "\"index\":0,\"delta\"", StringComparison.Ordinal)
            : events[1].Replace("\"delta\"", "\"x\":1,\"x\":2,\"delta\"", StringComparison.Ordinal);
        await using var world = await RescueWorld.StartAsync();
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Serving(events);
        var seen = await world.StreamAsync("/v1/chat/completions", Request);
        Assert.DoesNotContain("internal_error", seen.Raw, StringComparison.Ordinal);
        Assert.Equal(outcome, LastOf(seen).GetProperty("outcome").GetString());
        Assert.Equal(outcome == "complete" ? "Hello, wide world" : "Hello, wide", TextOf(seen));
    }

    private static string TextOf(SeenStream seen) => string.Concat(seen.Events.Where(one => one.Data != "[DONE]").Select(one => one.Json)
        .Select(chunk => chunk.TryGetProperty("choices", out var choices) && choices.GetArrayLength() > 0
            && choices[0].GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : ""));

    private static JsonElement LastOf(SeenStream seen) => seen.Events.Last(one => one.Data != "[DONE]").Json.GetProperty("fairlead");
}
