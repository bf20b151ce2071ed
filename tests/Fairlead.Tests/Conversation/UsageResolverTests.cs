using System.Text;
using System.Text.Json;
using Fairlead.Conversation;

namespace Fairlead.Tests.Conversation;

/// <summary>What vendors really report, and what the gateway makes of it. The request has 400 bytes of text, estimated at 100 tokens; the response 120 bytes, at 30.</summary>
public sealed class UsageResolverTests
{
    private static readonly UsageKnown Known = new()
    {
        HasOutput = true,
        OutputBytes = 120,
        InputBytes = 400,
        MaxInputTokens = 500,
        Window = 8192,
        MaxOutput = 4096,
    };

    [Theory]
    // As documented.
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118}""", 90, 28, 0, 0)]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":20}}""", 90, 28, 64, 20)]
    [InlineData("""{"input_tokens":90,"output_tokens":28,"total_tokens":118,"input_tokens_details":{"cached_tokens":64},"output_tokens_details":{"reasoning_tokens":20}}""", 90, 28, 64, 20)]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118,"prompt_tokens_details":null,"completion_tokens_details":null}""", 90, 28, 0, 0)]
    // Without a total, or with one of zero.
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28}""", 90, 28, 0, 0)]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":0}""", 90, 28, 0, 0)]
    // One count and the total give the other.
    [InlineData("""{"prompt_tokens":90,"total_tokens":118}""", 90, 28, 0, 0)]
    [InlineData("""{"completion_tokens":28,"total_tokens":118}""", 90, 28, 0, 0)]
    // Numbers in other clothes.
    [InlineData("""{"prompt_tokens":"90","completion_tokens":"28"}""", 90, 28, 0, 0)]
    [InlineData("""{"prompt_tokens":90.0,"completion_tokens":2.8e1}""", 90, 28, 0, 0)]
    [InlineData("""{"prompt_tokens":"90.0","completion_tokens":28}""", 90, 28, 0, 0)]
    // Reasoning outside the completion, when the total says so (xAI), or when it cannot be inside.
    [InlineData("""{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,"completion_tokens_details":{"reasoning_tokens":100}}""", 10, 105, 0, 100)]
    [InlineData("""{"prompt_tokens":10,"completion_tokens":50,"total_tokens":90,"completion_tokens_details":{"reasoning_tokens":30}}""", 10, 80, 0, 30)]
    [InlineData("""{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":100}}""", 10, 105, 0, 100)]
    [InlineData("""{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60,"completion_tokens_details":{"reasoning_tokens":30}}""", 10, 50, 0, 30)]
    [InlineData("""{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60,"reasoning_tokens":30}""", 10, 50, 0, 30)]
    // More reasoning than completion, and a total that counts it once: of no effect on the price.
    [InlineData("""{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60,"completion_tokens_details":{"reasoning_tokens":55}}""", 10, 50, 0, 50)]
    // Cached input outside the prompt, when the total says so, or when it cannot be inside.
    [InlineData("""{"prompt_tokens":20,"completion_tokens":28,"total_tokens":112,"prompt_tokens_details":{"cached_tokens":64}}""", 84, 28, 64, 0)]
    [InlineData("""{"prompt_tokens":80,"completion_tokens":28,"total_tokens":172,"prompt_tokens_details":{"cached_tokens":64}}""", 144, 28, 64, 0)]
    [InlineData("""{"prompt_tokens":20,"completion_tokens":28,"prompt_tokens_details":{"cached_tokens":64}}""", 84, 28, 64, 0)]
    // Both outside.
    [InlineData("""{"prompt_tokens":20,"completion_tokens":28,"total_tokens":152,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":40}}""", 84, 68, 64, 40)]
    // A total that leaves out what the cache served.
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":54,"prompt_tokens_details":{"cached_tokens":64}}""", 90, 28, 64, 0)]
    // Cached input beside the prompt count (Moonshot, DeepSeek).
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118,"cached_tokens":64}""", 90, 28, 64, 0)]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":26}""", 90, 28, 64, 0)]
    [InlineData("""{"completion_tokens":28,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":26}""", 90, 28, 64, 0)]
    // Other vendors' names: Ollama, Gemini, Bedrock, Cohere, and the same in camel case.
    [InlineData("""{"prompt_eval_count":90,"eval_count":28}""", 90, 28, 0, 0)]
    [InlineData("""{"promptTokenCount":90,"candidatesTokenCount":8,"thoughtsTokenCount":20,"totalTokenCount":118,"cachedContentTokenCount":64}""", 90, 28, 64, 20)]
    [InlineData("""{"promptTokenCount":90,"thoughtsTokenCount":28,"totalTokenCount":118}""", 90, 28, 0, 28)]
    [InlineData("""{"promptTokenCount":80,"toolUsePromptTokenCount":10,"candidatesTokenCount":28,"totalTokenCount":118}""", 90, 28, 0, 0)]
    [InlineData("""{"inputTokens":26,"outputTokens":28,"totalTokens":118,"cacheReadInputTokens":64}""", 90, 28, 64, 0)]
    [InlineData("""{"inputTokens":90,"outputTokens":28,"totalTokens":118}""", 90, 28, 0, 0)]
    [InlineData("""{"promptTokens":90,"completionTokens":28,"totalTokens":118}""", 90, 28, 0, 0)]
    [InlineData("""{"billed_units":{"input_tokens":7,"output_tokens":28},"tokens":{"input_tokens":90,"output_tokens":28}}""", 90, 28, 0, 0)]
    // Both sets of names, one of them with zeros.
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118,"input_tokens":0,"output_tokens":0}""", 90, 28, 0, 0)]
    // Anthropic's input leaves out both cache counts; a relay that counts them in says so by its total.
    [InlineData("""{"input_tokens":16,"cache_read_input_tokens":64,"cache_creation_input_tokens":10,"output_tokens":28}""", 90, 28, 64, 0)]
    [InlineData("""{"input_tokens":90,"cache_read_input_tokens":64,"cache_creation_input_tokens":10,"output_tokens":28,"total_tokens":118}""", 90, 28, 64, 0)]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118,"cache_read_input_tokens":64,"cache_creation_input_tokens":10}""", 90, 28, 64, 0)]
    public void Resolve_PlausibleCounts_AreMeasured(string json, long input, long output, long cached, long reasoning)
    {
        var resolved = Resolve(json);
        Assert.Equal((input, output, cached, reasoning), (resolved.Usage.InputTokens, resolved.Usage.OutputTokens, resolved.Usage.CachedInputTokens, resolved.Usage.ReasoningTokens));
        Assert.Equal((Basis.Measured, UsageDoubt.None), (resolved.Usage.Basis, resolved.Doubt));
    }

    [Theory]
    // Nothing.
    [InlineData("{}", 100, 30, nameof(UsageDoubt.Incomplete))]
    [InlineData("""{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null}""", 100, 30, nameof(UsageDoubt.Incomplete))]
    [InlineData("""{"queue_time":0.2,"service_tier":"x","nested":{"prompt":[1,{"a":2}]}}""", 100, 30, nameof(UsageDoubt.Incomplete))]
    // Zeros for text.
    [InlineData("""{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}""", 100, 30, nameof(UsageDoubt.TooFew))]
    [InlineData("""{"prompt_tokens":0,"completion_tokens":28,"total_tokens":28}""", 100, 28, nameof(UsageDoubt.TooFew))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":0,"total_tokens":90}""", 90, 30, nameof(UsageDoubt.TooFew))]
    [InlineData("""{"input_tokens":0,"output_tokens":0}""", 100, 30, nameof(UsageDoubt.TooFew))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":0,"cached_tokens":64}""", 90, 30, nameof(UsageDoubt.TooFew))]
    // Not counts.
    [InlineData("""{"prompt_tokens":-1,"completion_tokens":-1,"total_tokens":-2}""", 100, 30, nameof(UsageDoubt.Unreadable))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":-28}""", 90, 30, nameof(UsageDoubt.Unreadable))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28.5}""", 90, 30, nameof(UsageDoubt.Unreadable))]
    [InlineData("""{"prompt_tokens":"many","completion_tokens":28}""", 100, 28, nameof(UsageDoubt.Unreadable))]
    [InlineData("""{"prompt_tokens":{"a":1},"completion_tokens":[28]}""", 100, 30, nameof(UsageDoubt.Unreadable))]
    [InlineData("""{"prompt_tokens":true,"completion_tokens":"NaN"}""", 100, 30, nameof(UsageDoubt.Unreadable))]
    // One of two.
    [InlineData("""{"prompt_tokens":90}""", 90, 30, nameof(UsageDoubt.Incomplete))]
    [InlineData("""{"completion_tokens":28}""", 100, 28, nameof(UsageDoubt.Incomplete))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens_details":{"reasoning_tokens":100}}""", 90, 100, nameof(UsageDoubt.Incomplete))]
    // Only the total: what is not input is output, unless that cannot be.
    [InlineData("""{"total_tokens":150}""", 100, 50, nameof(UsageDoubt.Incomplete))]
    [InlineData("""{"total_tokens":101}""", 100, 30, nameof(UsageDoubt.Incomplete))]
    [InlineData("""{"total_tokens":1}""", 100, 30, nameof(UsageDoubt.Incomplete))]
    // More than the window holds or the model makes.
    [InlineData("""{"prompt_tokens":1000000000000000000,"completion_tokens":28}""", 100, 28, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":1e18}""", 90, 30, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":1e400}""", 90, 30, nameof(UsageDoubt.Unreadable))]
    [InlineData("""{"prompt_tokens":"1000000000000000000","completion_tokens":"28"}""", 100, 28, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":99999999999999999999999,"completion_tokens":28}""", 100, 28, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":8193,"completion_tokens":28}""", 100, 28, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":8193}""", 90, 30, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":8000,"completion_tokens":4000}""", 100, 4000, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":400,"completion_tokens":8000}""", 400, 30, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":1000000000000000000}""", 90, 28, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"completion_tokens_details":{"reasoning_tokens":1000000000000000000}}""", 90, 30, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"prompt_tokens_details":{"cached_tokens":1000000000000000000}}""", 100, 28, nameof(UsageDoubt.TooMany))]
    [InlineData("""{"total_tokens":1000000000000000000}""", 100, 30, nameof(UsageDoubt.Incomplete))]
    // Counts that contradict their total. What it counts beyond them was made.
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":100}""", 90, 28, nameof(UsageDoubt.Contradiction))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":200}""", 90, 110, nameof(UsageDoubt.Contradiction))]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118,"cached_tokens":95}""", 90, 28, nameof(UsageDoubt.Contradiction))]
    public void Resolve_ImplausibleCounts_AreEstimated(string json, long input, long output, string doubt)
    {
        var resolved = Resolve(json);
        Assert.Equal((input, output), (resolved.Usage.InputTokens, resolved.Usage.OutputTokens));
        Assert.Equal((Basis.Estimated, doubt), (resolved.Usage.Basis, resolved.Doubt.ToString()));
    }

    [Fact]
    public void Resolve_TooFewTokensForLongText_IsEstimated()
    {
        var resolved = Resolve("""{"prompt_tokens":90,"completion_tokens":1,"total_tokens":91}""", Known with { OutputBytes = 4000, LeastOutput = 250 }, new Counts(100, 1000));
        Assert.Equal((90, 1000, UsageDoubt.TooFew), (resolved.Usage.InputTokens, resolved.Usage.OutputTokens, resolved.Doubt));
        resolved = Resolve("""{"prompt_tokens":1,"completion_tokens":28,"total_tokens":29}""", Known with { InputBytes = 40_000 }, new Counts(10_000, 30));
        Assert.Equal((8192, 28, UsageDoubt.TooFew), (resolved.Usage.InputTokens, resolved.Usage.OutputTokens, resolved.Doubt));
    }

    [Theory]
    [InlineData("""{"prompt_tokens":90,"completion_tokens":0,"total_tokens":90}""")]
    [InlineData("""{"prompt_tokens":90,"total_tokens":90}""")]
    [InlineData("""{"prompt_tokens":90}""")]
    public void Resolve_NoOutput_IsMeasured(string json)
    {
        var resolved = Resolve(json, Known with { HasOutput = false, OutputBytes = 0 }, new Counts(100, 0));
        Assert.Equal((90, 0, Basis.Measured), (resolved.Usage.InputTokens, resolved.Usage.OutputTokens, resolved.Usage.Basis));
    }

    [Fact]
    public void Resolve_HiddenReasoning_IsMeasured()
    {
        var resolved = Resolve("""{"prompt_tokens":90,"completion_tokens":2000,"total_tokens":2090,"completion_tokens_details":{"reasoning_tokens":2000}}""", Known with { HasOutput = false, OutputBytes = 0 }, new Counts(100, 0));
        Assert.Equal((2000, Basis.Measured), (resolved.Usage.OutputTokens, resolved.Usage.Basis));
    }

    [Fact]
    public void Resolve_MultipleChoices_MayEachFillContextWindow()
    {
        const string json = """{"prompt_tokens":90,"completion_tokens":12000,"total_tokens":12090}""";
        Assert.Equal(UsageDoubt.TooMany, Resolve(json).Doubt);
        Assert.Equal(UsageDoubt.None, Resolve(json, Known with { Choices = 3 }, new Counts(100, 30)).Doubt);
    }

    [Theory]
    [InlineData("""{"prompt_tokens":90,"total_tokens":90}""", 90, nameof(Basis.Measured))]
    [InlineData("""{"total_tokens":90}""", 90, nameof(Basis.Measured))]
    [InlineData("""{"promptTokenCount":90}""", 90, nameof(Basis.Measured))]
    [InlineData("""{"prompt_tokens":0,"total_tokens":0}""", 100, nameof(Basis.Estimated))]
    [InlineData("""{"completion_tokens":0}""", 100, nameof(Basis.Estimated))]
    [InlineData("""{"prompt_tokens":24576}""", 24576, nameof(Basis.Measured))]
    [InlineData("""{"prompt_tokens":24577}""", 100, nameof(Basis.Estimated))]
    public void Resolve_Embeddings_HaveInputOnly(string json, long input, string basis)
    {
        var resolved = Resolve(json, Known with { MakesOutput = false, OutputBytes = 0, Inputs = 3 }, new Counts(100, 30));
        Assert.Equal((input, 0, Enum.Parse<Basis>(basis)), (resolved.Usage.InputTokens, resolved.Usage.OutputTokens, resolved.Usage.Basis));
    }

    [Fact]
    public void Resolve_UnknownContextWindow_StillHasLimit()
    {
        var known = Known with { Window = null, MaxOutput = null, MaxInputTokens = 0 };
        Assert.Equal(UsageDoubt.None, Resolve("""{"prompt_tokens":900000,"completion_tokens":28}""", known, new Counts(100, 30)).Doubt);
        Assert.Equal(UsageDoubt.TooMany, Resolve("""{"prompt_tokens":1e18,"completion_tokens":28}""", known, new Counts(100, 30)).Doubt);
    }

    [Fact]
    public void Resolve_ServerSideToolUse_MayExceedContextWindow()
    {
        const string counts = "{\"input_tokens\":90000,\"output_tokens\":28,\"server_tool_use\":";
        Assert.Equal(UsageDoubt.TooMany, Resolve(counts + "{\"web_search_requests\":0}}").Doubt);
        Assert.Equal(UsageDoubt.None, Resolve(counts + "{\"web_search_requests\":3}}").Doubt);
    }

    [Fact]
    public void Resolve_CacheWritesByTtl_AreSplit()
    {
        var usage = Resolve("""{"input_tokens":16,"cache_creation_input_tokens":74,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":24,"ephemeral_1h_input_tokens":50},"output_tokens":28}""").Usage;
        Assert.Equal((90, 74, 50), (usage.InputTokens, usage.CacheWriteTokens, usage.LongCacheWriteTokens));
        usage = Resolve("""{"input_tokens":16,"cache_creation":{"ephemeral_5m_input_tokens":24,"ephemeral_1h_input_tokens":50},"output_tokens":28}""").Usage;
        Assert.Equal((90, 74, 50), (usage.InputTokens, usage.CacheWriteTokens, usage.LongCacheWriteTokens));
    }

    [Fact]
    public void Resolve_AudioTokens_AreSplitIntoInputAndOutput()
    {
        var usage = Resolve("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118,"prompt_tokens_details":{"audio_tokens":40},"completion_tokens_details":{"audio_tokens":20,"text_tokens":8}}""").Usage;
        Assert.Equal((40, 20), (usage.AudioInputTokens, usage.AudioOutputTokens));
        usage = Resolve("""{"promptTokenCount":90,"candidatesTokenCount":28,"promptTokensDetails":[{"modality":"TEXT","tokenCount":40},{"tokenCount":50,"modality":"AUDIO"}],"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":10}],"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":"20"}]}""").Usage;
        Assert.Equal((40, 20), (usage.AudioInputTokens, usage.AudioOutputTokens));
    }

    [Fact]
    public void Then_LaterReports_OverrideFieldByField()
    {
        var start = Read("""{"input_tokens":16,"cache_read_input_tokens":74,"output_tokens":1}""").AtStart();
        Assert.Equal((90, 30, UsageDoubt.Incomplete), Of(start));
        Assert.Equal((90, 28, UsageDoubt.None), Of(start.Then(Read("""{"output_tokens":28}"""))));
        Assert.Equal((90, 29, UsageDoubt.None), Of(start.Then(Read("""{"output_tokens":28}""")).Then(Read("""{"output_tokens":29}"""))));
        // A report without an output count leaves that of the start, which counts nothing yet.
        Assert.Equal((90, 30, UsageDoubt.Incomplete), Of(start.Then(Read("{}"))));
        Assert.Equal((90, 30, UsageDoubt.Incomplete), Of(start.Then(Read("""{"output_tokens":0}"""))));
        Assert.Equal((90, 30, UsageDoubt.TooFew), Of(Read("""{"input_tokens":90,"output_tokens":0}""").AtStart().Then(Read("""{"output_tokens":0}"""))));
    }

    [Fact]
    public void Then_EmptyReportAfterCounts_KeepsCounts()
    {
        var counted = Read("""{"prompt_tokens":90,"completion_tokens":28,"total_tokens":118}""");
        Assert.Equal((90, 28, UsageDoubt.None), Of(counted.Then(Read("""{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"""))));
        Assert.Equal((90, 28, UsageDoubt.None), Of(counted.Then(counted)));
        // The total of an earlier chunk says nothing of later counts.
        Assert.Equal((90, 40, UsageDoubt.None), Of(counted.Then(Read("""{"prompt_tokens":90,"completion_tokens":40}"""))));
    }

    [Fact]
    public void Resolve_TruncatedStream_CountsOutputSeenSinceLastReport()
    {
        var report = Read("""{"input_tokens":90,"output_tokens":1}""").AtStart();
        var cut = Known with { IsFinished = false };
        Assert.Equal((90, 30, UsageDoubt.Cut), Of(report, cut));
        Assert.Equal((90, 40, UsageDoubt.None), Of(report.Then(Read("""{"output_tokens":40}""")), cut));
    }

    [Fact]
    public void Resolve_NoReportedUsage_IsEstimated()
    {
        var resolved = UsageResolver.Resolve(null, Known, new Counts(100, 30));
        Assert.Equal(new Usage(100, 30) { Basis = Basis.Estimated }, resolved.Usage);
        Assert.Equal(UsageDoubt.NotReported, resolved.Doubt);
    }

    [Fact]
    public void Resolve_OwnCount_IsTrusted()
    {
        var own = new Usage(3, 2_000_000) { CachedInputTokens = 1, ReasoningTokens = 7 };
        Assert.Equal(own, UsageResolver.Resolve(UsageReport.OfOwn(own), Known, new Counts(100, 30)).Usage);
    }

    private static (long, long, UsageDoubt) Of(UsageReport report, UsageKnown? known = null)
    {
        var resolved = UsageResolver.Resolve(report, known ?? Known, new Counts(100, 30));
        return (resolved.Usage.InputTokens, resolved.Usage.OutputTokens, resolved.Doubt);
    }

    private static ResolvedUsage Resolve(string json, UsageKnown? known = null, Counts? estimates = null) =>
        UsageResolver.Resolve(Read(json), known ?? Known, estimates ?? new Counts(100, 30));

    // In the middle of other JSON, as reports come: the reader must end on the object's last token.
    private static UsageReport Read(string json)
    {
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes($$"""{"usage":{{json}},"after":1}"""));
        reader.Read();
        reader.Read();
        reader.Read();
        var report = UsageReport.Read(ref reader);
        Assert.Equal(JsonTokenType.EndObject, reader.TokenType);
        Assert.True(reader.Read());
        Assert.True(reader.ValueTextEquals("after"u8));
        return report;
    }

    private readonly record struct Counts(long Input, long Output) : IUsageEstimates
    {
        public long InputTokens() => Input;

        public long OutputTokens() => Output;
    }
}
