using System.Text.Json;
using Fairlead.FunctionalTests.Common;
using Fairlead.Tests.Common;
using static Fairlead.Tests.Common.FakeUpstream;

namespace Fairlead.FunctionalTests.Rescue;

/// <summary>Streams that a model is to continue by their text: only where that is known, and never joined to a text that started again.</summary>
public sealed class ContinuationTests
{
    private const string Request = """{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}""";

    private static readonly string[] Sent = [Chunk("""{"role":"assistant","content":"Sure! The capital"}"""), Chunk("""{"content":" is"}""")];

    private static readonly string[] Whole =
        [Chunk("""{"role":"assistant","content":"Sure! The "}"""), Chunk("""{"content":"capital is Oslo."}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]"];

    [Fact]
    public async Task ServerOfUnknownConduct_ModelStatesPrefill_GetsNone()
    {
        await using var world = await RescueWorld.StartAsync(prefill: true, continues: false);
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Serving(Whole);
        var seen = await world.StreamAsync("/v1/chat/completions", Request);
        Assert.Equal("user", world.Second.Received.Single().GetProperty("messages").EnumerateArray().Last().GetProperty("role").GetString());
        Assert.Equal("Sure! The capital is Oslo.", TextOf(seen));
    }

    [Fact]
    public async Task ServerThatContinues_OfKindOpenAi_GetsTheFieldsForIt()
    {
        await using var world = await RescueWorld.StartAsync(prefill: true);
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Serving(Chunk("""{"role":"assistant","content":" Oslo, "}"""), Chunk("""{"content":"sampled otherwise."}"""), Chunk("{}", "stop"), UsageChunk(), "[DONE]");
        var seen = await world.StreamAsync("/v1/chat/completions", Request);
        var received = world.Second.Received.Single();
        Assert.Equal("assistant", received.GetProperty("messages").EnumerateArray().Last().GetProperty("role").GetString());
        Assert.True(received.GetProperty("continue_final_message").GetBoolean());
        Assert.False(received.GetProperty("add_generation_prompt").GetBoolean());
        Assert.Equal("Sure! The capital is Oslo, sampled otherwise.", TextOf(seen));
        Assert.Equal("complete", LastOf(seen).GetProperty("outcome").GetString());
    }

    /// <summary>The server ignores the turn, or repeats it: the same output comes from the start.</summary>
    [Theory]
    [InlineData("openai", "/v1/chat/completions")]
    [InlineData("openai", "/v2/generations")]
    public async Task ServerStartsAgain_IsNotJoinedButCompared(string kind, string path)
    {
        await using var world = await RescueWorld.StartAsync(kind, prefill: true);
        world.First.Answer = RescueWorld.Losing("end", Sent);
        world.Second.Answer = RescueWorld.Serving(Whole);
        var own = path == "/v2/generations";
        var seen = own
            ? await world.Gateway.Client.PostForStreamAsync(path, """{"model":"m","input":"Hi"}""")
            : await world.StreamAsync(path, Request);
        Assert.Equal("Sure! The capital is Oslo.", own
            ? string.Concat(seen.Events.Where(one => one.Data != "[DONE]").Select(one => one.Json).Where(one => one.GetProperty("type").GetString() == "output.text.delta").Select(one => one.GetProperty("text").GetString()))
            : TextOf(seen));
        Assert.Equal(2, world.Second.Requests.Count);
        if (own) return;
        var last = LastOf(seen);
        Assert.Equal(["provider_lost", "cancelled", "complete"], last.GetProperty("attempts").EnumerateArray().Select(a => a.GetProperty("outcome").GetString()));
        Assert.Equal("complete", last.GetProperty("outcome").GetString());
    }

    [Fact]
    public async Task ServerStartsAgain_OtherOutput_StreamEndsAsLost()
    {
        await using var world = await RescueWorld.StartAsync(prefill: true);
        world.First.Answer = RescueWorld.Losing("end", Sent);
        var calls = 0;
        world.Second.Answer = context => RescueWorld.Serving(Interlocked.Increment(ref calls) == 1
            ? Whole : [Chunk("""{"role":"assistant","content":"You are welcome. The capital is Oslo."}"""), Chunk("{}", "stop"), "[DONE]"])(context);
        var seen = await world.StreamAsync("/v1/chat/completions", Request);
        Assert.Equal("Sure! The capital is", TextOf(seen));
        Assert.Equal("provider_lost", LastOf(seen).GetProperty("outcome").GetString());
    }

    [Fact]
    public async Task Continuation_LostWithoutUsage_IsChargedForTheTextThatItGot()
    {
        await using var world = await RescueWorld.StartAsync(prefill: true);
        var sent = string.Concat(Enumerable.Range(0, 200).Select(i => $" word{i}")) + ".";
        world.First.Answer = RescueWorld.Losing("end", Chunk($$"""{"role":"assistant","content":"{{sent}}"}"""));
        world.Second.Answer = RescueWorld.Losing("end", Chunk("""{"role":"assistant","content":" And now for something else."}"""));
        var last = LastOf(await world.StreamAsync("/v1/chat/completions", Request));
        var attempts = last.GetProperty("attempts").EnumerateArray().Select(a => a.GetProperty("usage")).ToList();
        Assert.Equal(2, attempts.Count);
        var (asked, given) = (attempts[0].GetProperty("input_tokens").GetInt64(), attempts[1].GetProperty("input_tokens").GetInt64());
        Assert.InRange(asked, 1, 50);
        Assert.Equal(asked + attempts[0].GetProperty("output_tokens").GetInt64(), given);
    }

    private static string TextOf(SeenStream seen) => string.Concat(seen.Events.Where(one => one.Data != "[DONE]").Select(one => one.Json)
        .Select(chunk => chunk.TryGetProperty("choices", out var choices) && choices.GetArrayLength() > 0
            && choices[0].GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : ""));

    private static JsonElement LastOf(SeenStream seen) => seen.Events.Last(one => one.Data != "[DONE]").Json.GetProperty("fairlead");
}
