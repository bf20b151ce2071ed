using System.Text.Json.Nodes;
using Fairlead.Caching;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.Extensions.Time.Testing;
using ZiggyCreatures.Caching.Fusion.Internals.Distributed;

namespace Fairlead.Tests.Caching;

/// <summary>A kept output keeps everything that a client sees, in memory and in Redis.</summary>
public sealed class CachedOutputTests
{
    private static readonly DateTimeOffset Now = new(2026, 12, 1, 8, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Serializer_RoundTrip_KeepsEverything()
    {
        var serializer = new CachedOutputSerializer();
        var output = Output([0, 10, 20, 30, 40, 50, 60]);
        var bytes = serializer.Serialize(new FusionCacheDistributedEntry<CachedOutput>(output, 5, 7, null, null));
        var entry = serializer.Deserialize<FusionCacheDistributedEntry<CachedOutput>>(bytes)!;
        Assert.Equal((5L, 7L), (entry.Timestamp, entry.LogicalExpirationTimestamp));
        var read = entry.Value;
        Assert.Equal((output.Deployment, output.UpstreamModel, output.SystemFingerprint, output.ServiceTier), (read.Deployment, read.UpstreamModel, read.SystemFingerprint, read.ServiceTier));
        Assert.Equal((output.Usage, output.StoredAt, output.ExpiresAt), (read.Usage, read.StoredAt, read.ExpiresAt));
        Assert.Equal(output.Warnings, read.Warnings);
        Assert.Equal(output.Finishes, read.Finishes);
        Assert.Equal(output.Offsets, read.Offsets);
        // Written again, it is the same.
        Assert.Equal(bytes, serializer.Serialize(new FusionCacheDistributedEntry<CachedOutput>(read, 5, 7, null, null)));
    }

    [Fact]
    public void Serializer_OtherVersion_IsRefused()
    {
        var serializer = new CachedOutputSerializer();
        var bytes = serializer.Serialize(new FusionCacheDistributedEntry<CachedOutput>(Output(null), 5, 7, null, null));
        var other = System.Text.Encoding.UTF8.GetBytes(System.Text.Encoding.UTF8.GetString(bytes).Replace("\"version\":1", "\"version\":9", StringComparison.Ordinal));
        Assert.Throws<System.Text.Json.JsonException>(() => serializer.Deserialize<FusionCacheDistributedEntry<CachedOutput>>(other));
    }

    [Fact]
    public void ToResponse_Output_HasAllParts()
    {
        var choice = Assert.Single(Output(null).ToResponse().Choices);
        Assert.Equal([new ReasoningPart("thought", "seal"), new TextPart("hello"), new RefusalPart("no")], choice.Parts);
        Assert.Equal(2, choice.Logprobs!.Count);
        Assert.Equal((FinishReason.Stop, "END"), (choice.FinishReason!.Value, choice.StopSequence));
        Assert.Equal("u", choice.Annotations![0]!["url"]!.GetValue<string>());
    }

    [Fact]
    public void ToResponse_Annotations_AreNotShared()
    {
        var output = Output(null);
        Assert.NotSame(output.ToResponse().Choices[0].Annotations, output.ToResponse().Choices[0].Annotations);
    }

    [Fact]
    public void Meter_Output_IsThatOfTheAttempt()
    {
        var meter = Output(null).Meter;
        Assert.Equal((FinishReason.Stop, 1), (meter.FinishReason!.Value, meter.FinishedChoices));
        Assert.Equal(-0.75, meter.MeanLogprob);
        Assert.Equal(Output(null).Usage with { Basis = Basis.Measured }, meter.Reported);
    }

    [Fact]
    public void Meter_Copy_ChangesIndependently()
    {
        var output = Output(null);
        var copy = output.Meter.Copy();
        copy.Kept = "whole";
        copy.SkippedEvents++;
        copy.Finish(FinishReason.Length, 3);
        Assert.Null(output.Meter.Kept);
        Assert.Equal((0, FinishReason.Stop, 1), (output.Meter.SkippedEvents, output.Meter.FinishReason!.Value, output.Meter.FinishedChoices));
    }

    [Fact]
    public async Task Events_WithoutPacing_ComeAtOnce()
    {
        await using var events = new CachedEvents(Output([0, 10, 20, 30, 40, 50, 60]), CachePacing.None, new FakeTimeProvider());
        using var batch = new EventBatch();
        Assert.True(await events.ReadAsync(batch, TestContext.Current.CancellationToken));
        Assert.Equal(7 + 3, batch.Items.Count);
        Assert.IsType<ResponseStarted>(batch.Items[0].Event);
        Assert.False(await events.ReadAsync(batch, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Events_OriginalPacing_WaitAsTheFirstStreamDid()
    {
        var time = new FakeTimeProvider();
        await using var events = new CachedEvents(Output([0, 0, 100, 200, 200, 200, 5000]), CachePacing.Original, time);
        using var batch = new EventBatch();
        Assert.True(await events.ReadAsync(batch, TestContext.Current.CancellationToken));
        Assert.Equal(1 + 2, batch.Items.Count);
        var second = events.ReadAsync(batch, TestContext.Current.CancellationToken);
        time.Advance(TimeSpan.FromMilliseconds(99));
        Assert.False(second.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(await second);
        Assert.Single(batch.Items);
        // A slow reader gets what is due together.
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(await events.ReadAsync(batch, TestContext.Current.CancellationToken));
        Assert.Equal(3, batch.Items.Count);
        var last = events.ReadAsync(batch, TestContext.Current.CancellationToken);
        Assert.False(last.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(4));
        Assert.True(await last);
        Assert.False(await events.ReadAsync(batch, TestContext.Current.CancellationToken));
    }

    private static CachedOutput Output(int[]? offsets) => new()
    {
        Deployment = "up/m",
        UpstreamModel = "m-0001",
        SystemFingerprint = "fp",
        ServiceTier = "default",
        Events =
        [
            new ReasoningDelta("thou"),
            new ReasoningDelta("ght"),
            new ReasoningDelta("") { Signature = "seal" },
            new TextDelta("hel") { Logprobs = [new TokenLogprob("hel", -0.5, [new TokenLogprob("x", -2, [])]) { Bytes = [104] }] },
            new TextDelta("lo") { Logprobs = [new TokenLogprob("lo", -1, [])] },
            new RefusalDelta("no"),
            new AnnotationsAdded(new JsonArray(new JsonObject { ["url"] = "u" })),
        ],
        Offsets = offsets,
        Finishes = [new ChoiceFinished(FinishReason.Stop) { StopSequence = "END" }],
        Usage = new Usage(11, 3)
        {
            CachedInputTokens = 4, CacheWriteTokens = 2, LongCacheWriteTokens = 1, AudioInputTokens = 1, ReasoningTokens = 2, AudioOutputTokens = 1,
            Basis = Basis.Estimated,
        },
        Warnings = [new CallWarning("code", "message")],
        StoredAt = Now,
        ExpiresAt = Now + TimeSpan.FromHours(1),
    };
}
