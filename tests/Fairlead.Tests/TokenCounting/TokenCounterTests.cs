using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Telemetry;
using Fairlead.TokenCounting;

namespace Fairlead.Tests.TokenCounting;

public sealed class TokenCounterTests
{
    private static readonly CatalogueModel Gpt = BuiltInModels.Find("gpt-4o-mini")!;
    private static readonly CatalogueModel Embedding = BuiltInModels.Find("text-embedding-3-small")!;
    private static readonly CatalogueModel Claude = BuiltInModels.Find("claude-opus-5-5")!;

    private readonly TokenCounter _counter = new();

    // Token counts of the public vocabularies, as the vendors' own tools report them.
    [Theory]
    [InlineData("", 0)]
    [InlineData("Hello", 1)]
    [InlineData("Hello, world!", 4)]
    [InlineData("antidisestablishmentarianism", 6)]
    public void CountText_O200k_IsExact(string text, int tokens) =>
        Assert.Equal(new TokenEstimate(tokens, Basis.Measured), _counter.CountText(text, Gpt));

    [Fact]
    public void CountConversation_ShortMessage_AddsFramingTokens() =>
        Assert.Equal(new TokenEstimate(1 + 4 + 3, Basis.Measured), _counter.CountConversation(Of("Hello"), Gpt));

    [Fact]
    public void CountConversation_ToolsAndImages_AreEstimated()
    {
        var plain = _counter.CountConversation(Of("Hello"), Gpt);
        var tools = _counter.CountConversation(Of("Hello") with { Tools = [new Tool("weather") { Description = "Says the weather.", Parameters = new JsonObject { ["type"] = "object" } }] }, Gpt);
        Assert.Equal(Basis.Estimated, tools.Basis);
        Assert.True(tools.Tokens > plain.Tokens + 8);
        var picture = _counter.CountConversation(new ConversationRequest { Messages = [new Message(Role.User, [new ImagePart("https://example.com/a.png", null, null) { Detail = "low" }])] }, Gpt);
        Assert.Equal(4 + 3 + 85, picture.Tokens);
    }

    [Fact]
    public void CountEmbeddings_TextsAndTokenIds_AreSummedWithoutFraming() =>
        Assert.Equal(new TokenEstimate(1 + 3, Basis.Measured), _counter.CountEmbeddings(new EmbeddingsRequest([new("Hello", null), new(null, [1, 2, 3])]), Embedding));

    [Fact]
    public void Count_AnyText_IsBetweenZeroAndByteCount() =>
        Gen.OneOf(Gen.String, Gen.String[Gen.Char.AlphaNumeric, 0, 600], Gen.String[Gen.Char[" \t\n."], 0, 600]).Sample(text =>
        {
            var bytes = Encoding.UTF8.GetByteCount(text);
            foreach (var model in new[] { Gpt, Embedding })
            {
                var count = _counter.CountText(text, model);
                // A lone surrogate has three bytes once it is replaced, as on any wire.
                Assert.InRange(count.Tokens, 0, bytes);
            }
            Assert.True(_counter.CountText(text, Claude).Tokens >= 0);
        }, iter: 2000);

    [Fact]
    public void Split_AnyText_TokensConcatenateToInput() =>
        Gen.OneOf(Gen.String, Gen.String[Gen.Char["a é😀中\u0301\n."], 0, 700]).Sample(text =>
        {
            var tokens = Vocabulary.O200k.Split(text);
            Assert.Equal(text, string.Concat(tokens));
            var at = 0;
            foreach (var token in tokens)
            {
                at += token.Length;
                Assert.False(at > 0 && at < text.Length && char.IsSurrogatePair(text[at - 1], text[at]), "A token ends within a character.");
            }
        }, iter: 1000);

    [Fact]
    public void Split_PlainText_TokenCountMatchesCount()
    {
        const string text = "The harbour master writes every arrival into a long book, with its flag and its hour.";
        Assert.Equal(Vocabulary.O200k.Count(text, out _), Vocabulary.O200k.Split(text).Count);
        Assert.Equal(5, Vocabulary.O200k.Split(text, 5).Count);
    }

    public static TheoryData<string> Hostile => new("a", "é", "中", "😀", "\u0301", " ", "\u00a0", "\n", "=", "a\u0301", "!\u0301", "\u200d", "\ud800", "aB", "1", "\t ");

    /// <summary>Merging costs the square of the longest unbroken run, so what bounds the runs bounds the work.</summary>
    [Theory]
    [MemberData(nameof(Hostile))]
    public void UnbrokenRuns_HostileMegabyte_IsSplitIntoLimitedPieces(string unit)
    {
        var text = Repeat(unit, 1_000_000);
        var runs = new UnbrokenRuns(text);
        var total = 0;
        var pieces = 0;
        while (runs.TryNext(out var piece))
        {
            total += piece.Length;
            pieces++;
            if (unit != "1") Assert.InRange(piece.Length, 1, UnbrokenRuns.MaxRun + 1);
        }
        Assert.Equal(text.Length, total);
        Assert.Equal(unit != "1", runs.WasCut);
        Assert.True(pieces <= (text.Length / (UnbrokenRuns.MaxRun - 1)) + 1);
    }

    [Theory]
    [MemberData(nameof(Hostile))]
    public void CountText_AdversarialMegabyte_FinishesQuickly(string unit)
    {
        Vocabulary.O200k.Load();
        var text = Repeat(unit, 1_000_000);
        var started = ProcessorTime.OfThread();
        var count = _counter.CountText(text, Gpt);
        // Uncut, each of these takes minutes. The thread's own processor time does not depend on what else the machine does.
        Assert.InRange(ProcessorTime.OfThread() - started, TimeSpan.Zero, TimeSpan.FromSeconds(10));
        Assert.InRange(count.Tokens, 1, Encoding.UTF8.GetByteCount(text));
    }

    [Fact]
    public void CountText_AboveExactLimit_IsSampledWithinThreePercent()
    {
        var text = Repeat("The harbour master writes every arrival into a long book, with its flag and its hour. ", TokenCounter.MaxExactChars * 3);
        var count = _counter.CountText(text, Gpt);
        Assert.Equal(Basis.Estimated, count.Basis);
        var truth = (long)Vocabulary.O200k.Count(text, out _);
        Assert.InRange(count.Tokens, truth * 97 / 100, truth * 103 / 100);
    }

    [Fact]
    public void CountText_ProseWithoutVocabulary_EstimatesAboutFourCharactersPerToken()
    {
        var text = Repeat("The harbour master writes every arrival into a long book, with its flag and its hour. ", 4000);
        var gemini = _counter.CountText(text, BuiltInModels.Find("gemini-2.5-pro")!);
        Assert.Equal(Basis.Estimated, gemini.Basis);
        Assert.InRange(gemini.Tokens, 900, 1200);
        Assert.True(_counter.CountText(text, Claude).Tokens > gemini.Tokens * 13 / 10);
        Assert.InRange(_counter.CountText("港湾の責任者は記録します", BuiltInModels.Find("gemini-2.5-pro")!).Tokens, 10, 14);
    }

    [Fact]
    public void Observe_ReportedUsageDiffers_CorrectsEstimateForModelAndFamily()
    {
        var text = Repeat("Some text to be counted. ", 4000);
        var before = _counter.CountText(text, Claude).Tokens;
        var truth = before * 7 / 10;
        for (var i = 0; i < 60; i++) _counter.Observe(Claude, _counter.CountText(text, Claude).Tokens, truth);
        Assert.InRange(_counter.CountText(text, Claude).Tokens, truth * 98 / 100, truth * 102 / 100);
        Assert.True(_counter.CountText(text, BuiltInModels.Find("claude-sonnet-5-5")!).Tokens < before);

        // One absurd report moves it a little only; exact families learn nothing.
        _counter.Observe(Claude, truth, truth * 1000);
        Assert.InRange(_counter.CountText(text, Claude).Tokens, truth * 95 / 100, truth * 108 / 100);
        _counter.Observe(Gpt, 100, 1000);
        Assert.Equal(1, _counter.CountText("Hello", Gpt).Tokens);
    }

    [Fact]
    public async Task Observe_ConcurrentThreads_StaysFiniteAndBounded()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(n => Task.Run(() =>
        {
            for (var i = 0; i < 5000; i++) _counter.Observe(Claude with { Id = $"m{n}-{i}" }, 100 + n, 50 + i);
        }, TestContext.Current.CancellationToken)));
        Assert.InRange(_counter.CountText("Some text to be counted.", Claude).Tokens, 1, 100);
    }

    [Fact]
    public void EstimateOutput_TruncatedResponse_UsesLearnedBytesPerToken()
    {
        var cut = new OutputMeter();
        Assert.Equal(0, _counter.EstimateOutput(cut, Gpt));
        cut.Observe(new TextDelta(Repeat("word ", 4000)));
        Assert.Equal(1000, _counter.EstimateOutput(cut, Gpt));
        for (var i = 0; i < 50; i++)
        {
            var done = new OutputMeter();
            done.Observe(new TextDelta(Repeat("word ", 4000)));
            _counter.ObserveOutput(done, new Usage(1, 800), Gpt);
        }
        Assert.InRange(_counter.EstimateOutput(cut, Gpt), 795, 810);
    }

    // Counts of o200k: what the model's provider would have charged.
    [Theory]
    [InlineData("The gateway holds back the last chunk until the provider has reported its usage. When it does not report anything, the tokens are estimated from the text that was delivered.", 0.35)]
    [InlineData("export async function fetchAll(urls, { limit = 4 } = {}) {\n  const results = [];\n  const queue = urls.map((url, i) => [i, url]);\n  return Promise.all(queue.map((next) => fetch(next[1]).then((r) => r.json())));\n}\n", 0.25)]
    [InlineData("{\"rows\":[{\"id\":0,\"x\":0.00,\"ok\":true},{\"id\":37,\"x\":0.37,\"ok\":false},{\"id\":74,\"x\":0.74,\"ok\":true}],\"total\":1182,\"next\":null}", 0.25)]
    [InlineData("Правительство объявило о новых мерах поддержки малого бизнеса. По словам министра, программа начнёт работать уже в следующем году.", 0.5)]
    [InlineData("政府宣布了支持小企业的新措施。部长表示，该计划将于明年开始实施，预计将惠及全国约二十万家企业。", 0.3)]
    [InlineData("政府は中小企業を支援するための新しい対策を発表しました。大臣によると、このプログラムは来年から始まります。", 0.3)]
    [InlineData("정부는 중소기업을 지원하기 위한 새로운 조치를 발표했습니다. 장관은 이 프로그램이 내년부터 시작될 것이라고 말했습니다.", 0.3)]
    public void EstimateOutput_TextOfManyKinds_IsNearVocabularyCount(string text, double tolerance)
    {
        var truth = Vocabulary.O200k.Count(text, out _);
        var meter = new OutputMeter();
        foreach (var piece in text.Chunk(7)) meter.Observe(new TextDelta(new string(piece)));
        Assert.InRange(_counter.EstimateOutput(meter, Gpt), truth * (1 - tolerance), (truth * (1 + tolerance)) + 1);

        // The same text in wire format, with its characters escaped, and as tool arguments.
        foreach (var (encoder, isArguments) in new[] { (System.Text.Encodings.Web.JavaScriptEncoder.Default, false), (System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping, true) })
        {
            var tally = new OutputTally();
            tally.Add(System.Text.Json.JsonEncodedText.Encode(text, encoder).EncodedUtf8Bytes, isEscaped: true, isArguments);
            var wire = new OutputMeter();
            wire.AddOutput(tally);
            Assert.Equal(Encoding.UTF8.GetByteCount(text), wire.OutputBytes);
            Assert.InRange(_counter.EstimateOutput(wire, Gpt), truth * (1 - tolerance), (truth * (1 + tolerance)) + 1);
        }
    }

    [Theory]
    [InlineData("The gateway holds back the last chunk until the provider has reported its usage. When it does not report anything, the tokens are estimated. ", 6)]
    [InlineData("Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz und Donaudampfschifffahrtsgesellschaft sind lange Wörter. ", 8)]
    [InlineData("Правительство объявило о новых мерах поддержки малого бизнеса. По словам министра, программа начнёт работать уже в следующем году. ", 6)]
    [InlineData("政府宣布了支持小企业的新措施。部长表示，该计划将于明年开始实施，预计将惠及全国约二十万家企业。", 6)]
    [InlineData("รัฐบาลประกาศมาตรการใหม่เพื่อสนับสนุนธุรกิจขนาดเล็ก รัฐมนตรีกล่าวว่าโครงการนี้จะเริ่มต้นในปีหน้า ", 8)]
    [InlineData("सरकार ने छोटे व्यवसायों का समर्थन करने के लिए नए उपायों की घोषणा की। मंत्री के अनुसार कार्यक्रम अगले साल से शुरू होगा। ", 8)]
    [InlineData("정부는 중소기업을 지원하기 위한 새로운 조치를 발표했습니다. 장관은 이 프로그램이 내년부터 시작될 것이라고 말했습니다. ", 8)]
    [InlineData("                                        \"deeply\": {\n                                            \"indented\": 1\n", 0)]
    [InlineData("----------------------------------------------------------------\n", 0)]
    [InlineData("================================================================\n| a | b |\n|---------------------------|---------------------------|\n", 0)]
    [InlineData("🙂👍🏽🎉🚀", 12)]
    [InlineData("\t\t\t\t\t\t\t\t\treturn;\n", 0)]
    public void LeastTokens_AnyText_IsBelowTokenizerCountAndCloseForProse(string piece, int divisor)
    {
        var text = Repeat(piece, 3000);
        var truth = Vocabulary.O200k.Count(text, out _);
        foreach (var isArguments in new[] { false, true })
        {
            var whole = new OutputTally();
            whole.Add(text, isArguments);
            Assert.InRange(whole.LeastTokens, 0, truth);
            var streamed = new OutputTally();
            foreach (var part in text.Chunk(5)) streamed.Add(part, isArguments);
            Assert.InRange(streamed.LeastTokens, 0, truth);
            // A count that is so many times too low is found out.
            if (divisor > 0) Assert.True(whole.LeastTokens > truth / divisor, $"{whole.LeastTokens} of {truth}");
        }
    }

    [Fact]
    public void ObserveOutput_OneKindOfText_AdjustsOnlyThatKind()
    {
        var (prose, json) = (Metered(Repeat("word ", 4000), false), Metered(Repeat("{\"a\":1}", 4000), true));
        var (before, proseBefore) = (_counter.EstimateOutput(json, Gpt), _counter.EstimateOutput(prose, Gpt));
        for (var i = 0; i < 50; i++) _counter.ObserveOutput(json, new Usage(1, before * 3 / 2), Gpt);
        Assert.InRange(_counter.EstimateOutput(json, Gpt), before * 1.45, before * 1.55);
        Assert.Equal(proseBefore, _counter.EstimateOutput(prose, Gpt));
    }

    [Fact]
    public void ObserveOutput_ImplausibleOrEstimatedCount_IsIgnored()
    {
        var prose = Metered(Repeat("word ", 4000), false);
        for (var i = 0; i < 50; i++)
        {
            _counter.ObserveOutput(prose, new Usage(1, 100), Gpt);
            _counter.ObserveOutput(prose, new Usage(1, 100_000), Gpt);
            _counter.ObserveOutput(prose, new Usage(1, 800) { Basis = Basis.Estimated }, Gpt);
            _counter.ObserveOutput(prose, new Usage(1, 2000) { ReasoningTokens = 1200 }, Gpt);
        }
        Assert.Equal(1000, _counter.EstimateOutput(prose, Gpt));
    }

    [Fact]
    public void EstimateOutput_TextStored_CountsByVocabulary()
    {
        const string text = "antidisestablishmentarianism {\"a\":[1,2,3]}";
        var meter = Metered(text, false);
        meter.Kept = text;
        Assert.Equal(Vocabulary.O200k.Count(text, out _), _counter.EstimateOutput(meter, Gpt));
        meter.Kept = new ModelResponse([new OutputChoice(0, [new TextPart(text)], null)]);
        Assert.Equal(Vocabulary.O200k.Count(text, out _), _counter.EstimateOutput(meter, Gpt));
        // Less text was stored than delivered, so the estimate uses the kinds of text.
        meter.Kept = text[..10];
        Assert.Equal(_counter.EstimateOutput(Metered(text, false), Gpt), _counter.EstimateOutput(meter, Gpt));
    }

    [Fact]
    public void OutputTally_LongChunk_IsExtrapolatedFromItsStart()
    {
        var (whole, pieces) = (new OutputTally(), new OutputTally());
        var text = Repeat("some words, and 12 more. ", 100_000);
        whole.Add(text, isArguments: false);
        foreach (var piece in text.Chunk(1000)) pieces.Add(piece, isArguments: false);
        Assert.Equal(pieces.Bytes, whole.Bytes);
        Assert.InRange(whole.Total, pieces.Total * 0.99, pieces.Total * 1.01);
    }

    private static OutputMeter Metered(string text, bool isArguments)
    {
        var meter = new OutputMeter();
        meter.Observe(isArguments ? new ToolCallDelta(0, text) : new TextDelta(text));
        return meter;
    }

    [Fact]
    public void MediaTokens_PngHeader_CountsTiles()
    {
        byte[] png = [0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10, 0, 0, 0, 13, (byte)'I', (byte)'H', (byte)'D', (byte)'R', 0, 0, 4, 0, 0, 0, 4, 0];
        var image = new ImagePart(null, "image/png", Convert.ToBase64String(png));
        Assert.Equal((1024, 1024), MediaTokens.SizeOf(image.Data!));
        Assert.Equal(85 + (170 * 4), MediaTokens.OfImage(image, "o200k"));
        Assert.Equal(1398, MediaTokens.OfImage(image, "claude-2026"));
        Assert.Null(MediaTokens.SizeOf("not base64 at all!"));
        Assert.Null(MediaTokens.SizeOf(""));
    }

    private static ConversationRequest Of(string text) => new() { Messages = [Message.Of(Role.User, text)] };

    private static string Repeat(string unit, int chars) => string.Create(chars, unit, static (span, unit) =>
    {
        for (var i = 0; i < span.Length; i++) span[i] = unit[i % unit.Length];
    });
}
