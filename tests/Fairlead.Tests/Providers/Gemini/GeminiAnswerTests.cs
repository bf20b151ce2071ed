using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Providers.Gemini;
using Fairlead.Tests.Common;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.Providers.Gemini;

public sealed class GeminiAnswerTests
{
    public static TheoryData<string> Names =>
    [
        "text", "thoughts", "function-calls", "max-tokens", "safety", "prompt-blocked", "two-candidates", "logprobs", "unusual-finish", "broken-function-call", "picture",
    ];

    [Theory]
    [MemberData(nameof(Names))]
    public void GeminiResponse_Mapped_MatchesGoldenFile(string name)
    {
        var result = Read(name == "two-candidates" ? 2 : 1, [GoldenFile.Read($"{name}.answer.json")]);
        GoldenFile.MatchesJson($"{name}.answer.expected.json", result.ToJsonString());
    }

    [Theory]
    [InlineData("stream-text")]
    [InlineData("stream-function-calls")]
    [InlineData("stream-blocked-midway")]
    public void Stream_Mapped_MatchesGoldenFile(string name)
    {
        // One JSON array holds the events in order, as the API itself sends them without alt=sse.
        var events = JsonNode.Parse(GoldenFile.Read($"{name}.answer.json"))!.AsArray().Select(e => e!.ToJsonString()).ToArray();
        GoldenFile.MatchesJson($"{name}.answer.expected.json", Read(1, events).ToJsonString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("not json")]
    [InlineData("[]")]
    [InlineData("""{"error":{"code":503}}""")]
    [InlineData("""{"candidates":[{"content":{"parts":[{"text":"\ud800"}]}}]}""")]
    public void GeminiResponse_InvalidFormat_IsNotRead(string body)
    {
        var reader = new GeminiResponseReader(1, new OutputMeter(), (_, _) => { }, () => "call_x");
        Assert.False(reader.TryRead(Encoding.UTF8.GetBytes(body), new List<GenerationEvent>(), out _));
        Assert.False(reader.AnyFinished);
    }

    [Theory]
    [InlineData("""{"candidates":5}""")]
    [InlineData("""{"candidates":[{"index":"x"}]}""")]
    [InlineData("""{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}""")]
    public void GeminiResponse_WrongFieldTypes_HasNoContentAndNoFinish(string body)
    {
        var reader = new GeminiResponseReader(1, new OutputMeter(), (_, _) => { }, () => "call_x");
        var events = new List<GenerationEvent>();
        Assert.True(reader.TryRead(Encoding.UTF8.GetBytes(body), events, out _));
        reader.EndWhole(events);
        Assert.All(events, made => Assert.IsType<ResponseStarted>(made));
        Assert.False(reader.AnyFinished);
    }

    [Fact]
    public void Usage_InputCountOnlyInFirstEvents_IsNotTreatedAsFinal()
    {
        var result = Read(1, ["""{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9}}"""]);
        Assert.DoesNotContain("usage", result["events"]!.ToJsonString(), StringComparison.Ordinal);
    }

    /// <summary>Sound may cost more than text; what of it was cached is charged as cached input.</summary>
    [Fact]
    public void Usage_WithAudio_ReportsAudioInputTokens()
    {
        var events = new List<GenerationEvent>();
        var reader = new GeminiResponseReader(1, new OutputMeter(), (_, _) => { }, () => "call_x");
        Assert.True(reader.TryRead(
            """
            {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":900,"candidatesTokenCount":2,"cachedContentTokenCount":300,
             "promptTokensDetails":[{"modality":"TEXT","tokenCount":100},{"modality":"AUDIO","tokenCount":800}],"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":300}]}}
            """u8, events, out _));
        var usage = Assert.Single(events.OfType<UsageReported>()).Usage;
        Assert.Equal((900, 300, 500), (usage.InputTokens, usage.CachedInputTokens, usage.AudioInputTokens));
    }

    private static JsonObject Read(int choices, IEnumerable<string> bodies)
    {
        var meter = new OutputMeter();
        var warnings = new JsonArray();
        var ids = 0;
        var reader = new GeminiResponseReader(choices, meter, (code, _) => warnings.Add(code), () => $"call_{++ids}");
        var events = new List<GenerationEvent>();
        string? failed = null;
        foreach (var body in bodies)
        {
            Assert.True(reader.TryRead(Encoding.UTF8.GetBytes(body), events, out var failure));
            failed ??= failure?.Definition.Name;
        }
        var builder = new OutputBuilder();
        foreach (var e in events) builder.Add(e);
        return new JsonObject
        {
            ["model"] = meter.UpstreamModel,
            ["events"] = EventText.Of(events),
            ["answer"] = JsonNode.Parse(EventText.Of(builder.Build())),
            ["finished"] = reader.AnyFinished && !reader.HasOpenChoice,
            ["failure"] = failed,
            ["warnings"] = warnings,
        };
    }
}
