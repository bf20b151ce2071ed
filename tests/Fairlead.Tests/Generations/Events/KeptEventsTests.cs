using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Conversation;
using Fairlead.Generations.Events;
using Fairlead.Streaming;

namespace Fairlead.Tests.Generations.Events;

public sealed class KeptEventsTests
{
    [Fact]
    public void Read_WrittenEvents_RoundTrip()
    {
        GenerationEvent[] events =
        [
            new TextDelta("a \u0000 \ud83d\ude00 \n") { Choice = 1, Logprobs = [new TokenLogprob("a", -0.25, [new TokenLogprob("b", -1.5, []) { Bytes = [98] }])] },
            new TextDelta(""),
            new ReasoningDelta("think") { Signature = "sig" },
            new ReasoningDelta("") { Redacted = "sealed" },
            new RefusalDelta("no"),
            new ToolCallStarted(2, "call_1", "get") { Kind = ToolKind.Custom, Signature = "s" },
            new ToolCallDelta(2, "{\"a\":"),
            new AnnotationsAdded([new JsonObject { ["type"] = "url_citation", ["url"] = "https://example.org" }]),
            new AudioDelta(new JsonObject { ["data"] = "AAAA" }),
            new GenerationRestarted(3),
        ];
        Assert.All(events, made => Assert.True(KeptEvents.IsKept(made)));
        var read = KeptEvents.Read(KeptEvents.Write(events));
        Assert.Equal(events.Select(Show), read.Select(Show));
        Assert.False(KeptEvents.IsKept(new ChoiceFinished(FinishReason.Stop)));
    }

    [Fact]
    public void EventsAfter_AnyChunking_PassesOnlyEventsAfterNumber() =>
        Gen.Select(Gen.Int[0, 30], Gen.Int[-1, 35], Gen.Int[1, 7]).Sample((count, after, perWrite) =>
        {
            var events = Enumerable.Range(0, count).Select(number => $"id: {number}\ndata: {{}}\n\n").ToArray();
            var filter = new EventsAfter(after);
            using var output = new PooledBuffer();
            foreach (var some in events.Chunk(perWrite)) filter.Write(Encoding.UTF8.GetBytes(string.Concat(some)), output);
            Assert.Equal(string.Concat(events.Skip(after + 1)), Encoding.UTF8.GetString(output.WrittenSpan));
            Assert.Equal(output.Length > 0, filter.Any);
        });

    private static string Show(GenerationEvent made) => made switch
    {
        TextDelta text => $"text {text.Choice} {text.Text} {string.Join(",", (text.Logprobs ?? []).Select(Show))}",
        AnnotationsAdded added => added.Annotations.ToJsonString(),
        AudioDelta audio => audio.Audio.ToJsonString(),
        _ => made.ToString(),
    };

    private static string Show(TokenLogprob token) => $"{token.Token} {token.Logprob} {Convert.ToHexString(token.Bytes ?? [])} [{string.Join(",", token.Top.Select(Show))}]";
}
