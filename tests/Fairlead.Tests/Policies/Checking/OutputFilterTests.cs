using System.Text;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;
using Fairlead.Tests.Dialects;

namespace Fairlead.Tests.Policies.Checking;

/// <summary>Random cuts of outputs with several choices and kinds of text: what leaves does not depend on the cuts.</summary>
public sealed class OutputFilterTests
{
    private static readonly CompiledPolicies Rules = CompiledPolicies.Compile([new PolicyDefinition("p", "p", 1,
    [
        new PolicyRule { Id = "mail", Type = PolicyRuleType.PersonalData, Kinds = ["email"], Action = PolicyAction.Redact },
        new PolicyRule { Id = "stop", Type = PolicyRuleType.Words, Words = ["stop here"], Action = PolicyAction.Block },
    ])]);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Add_AnyCuts_SameOutput(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < 100; round++)
        {
            var events = new List<GenerationEvent>();
            Cut(events, "Think of ada@example.org first. ", text => new ReasoningDelta(text), random);
            Cut(events, "Ask bob@example.org, or ada@example.org.", text => new TextDelta(text), random);
            Cut(events, "The other one asks carol@example.org", text => new TextDelta(text) { Choice = 1 }, random);
            events.Add(new ToolCallStarted(0, "a", "f"));
            events.Add(new ToolCallStarted(1, "b", "g"));
            var first = new List<GenerationEvent>();
            Cut(first, """{"to":"dan\u0040example.org","n":1}""", text => new ToolCallDelta(0, text), random);
            var second = new List<GenerationEvent>();
            Cut(second, """{"to":"eve@example.org"}""", text => new ToolCallDelta(1, text), random);
            // In turns.
            while (first.Count + second.Count > 0)
            {
                var next = second.Count == 0 || (first.Count > 0 && random.Next(2) == 0) ? first : second;
                events.Add(next[0]);
                next.RemoveAt(0);
            }
            events.Add(new ChoiceFinished(FinishReason.ToolCalls));
            events.Add(new ChoiceFinished(FinishReason.Stop) { Choice = 1 });

            var passed = await RunAsync(events);
            Assert.Equal("Think of [EMAIL_1] first. ", Text<ReasoningDelta>(passed, made => made.Text));
            Assert.DoesNotContain("example.org", string.Concat(passed.Select(Describe)), StringComparison.Ordinal);
            Assert.Matches(@"^Ask \[EMAIL_\d\], or \[EMAIL_1\]\.$", Text<TextDelta>(passed.Where(made => made.Choice == 0), made => made.Text));
            Assert.Matches(@"^The other one asks \[EMAIL_\d\]$", Text<TextDelta>(passed.Where(made => made.Choice == 1), made => made.Text));
            foreach (var index in new[] { 0, 1 })
            {
                using var arguments = JsonDocument.Parse(Text<ToolCallDelta>(passed.Where(made => made is ToolCallDelta delta && delta.Index == index), made => made.Arguments));
                Assert.Matches(@"^\[EMAIL_\d\]$", arguments.RootElement.GetProperty("to").GetString());
            }
            Assert.Equal(2, passed.OfType<ChoiceFinished>().Count());
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Add_Blocked_EndsEveryChoice(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < 50; round++)
        {
            var events = new List<GenerationEvent>();
            Cut(events, "The other choice", text => new TextDelta(text) { Choice = 1 }, random);
            Cut(events, "Please stop here and now", text => new TextDelta(text), random);
            var passed = await RunAsync(events);
            Assert.Equal("Please ", Text<TextDelta>(passed.Where(made => made.Choice == 0), made => made.Text));
            Assert.All(passed.OfType<ChoiceFinished>(), made => Assert.Equal(FinishReason.ContentFilter, made.Reason));
            Assert.Equal([0, 1], passed.OfType<ChoiceFinished>().Select(made => made.Choice).Order());
        }
    }

    [Fact]
    public async Task Add_EmptyPiecesBetween_DoNotCutText()
    {
        var passed = await RunAsync([new ReasoningDelta("ada@exam"), new TextDelta(""), new ReasoningDelta("ple.org"), new ChoiceFinished(FinishReason.Stop)]);
        Assert.Equal("[EMAIL_1]", Text<ReasoningDelta>(passed, made => made.Text));
    }

    [Fact]
    public async Task Add_AttemptFailed_FollowsWhatWasHeld()
    {
        var passed = await RunAsync([new TextDelta("Please stop"), new AttemptFailed(new Fairlead.Errors.GatewayError(Fairlead.Errors.ErrorCode.ProviderError, "x"))]);
        Assert.Equal("Please stop", Text<TextDelta>(passed, made => made.Text));
        Assert.IsType<AttemptFailed>(passed[^1]);
    }

    [Fact]
    public async Task Add_Annotations_FollowTextAndLosePlacesThatMoved()
    {
        static AnnotationsAdded Note() => new([new System.Text.Json.Nodes.JsonObject { ["type"] = "url_citation", ["url"] = "https://x.test", ["start_index"] = 3 }]);
        var passed = await RunAsync([new TextDelta("See stop"), Note(), new TextDelta(" it. ada@example.org"), Note(), new ChoiceFinished(FinishReason.Stop)]);
        var texts = passed.TakeWhile(made => made is not AnnotationsAdded).ToList();
        Assert.StartsWith("See stop", Text<TextDelta>(texts, made => made.Text), StringComparison.Ordinal);
        var notes = passed.OfType<AnnotationsAdded>().SelectMany(made => made.Annotations).ToList();
        Assert.Equal(2, notes.Count);
        Assert.Null(notes[1]!["start_index"]);
        Assert.Equal("https://x.test", notes[1]!["url"]!.GetValue<string>());
    }

    [Fact]
    public async Task Add_Transcript_IsOneTextAndSoundWaitsForIt()
    {
        static AudioDelta Sound(string data, string? words) => new(new System.Text.Json.Nodes.JsonObject { ["data"] = data, ["transcript"] = words });
        var passed = await RunAsync([Sound("AAAA", "please st"), Sound("BBBB", "op he"), Sound("CCCC", "re now")]);
        Assert.Empty(passed.OfType<AudioDelta>());
        Assert.Equal(FinishReason.ContentFilter, Assert.Single(passed.OfType<ChoiceFinished>()).Reason);
        passed = await RunAsync([Sound("ada@example.org", "please st"), Sound("BBBB", "op it"), new ChoiceFinished(FinishReason.Stop)]);
        Assert.Equal(2, passed.OfType<AudioDelta>().Count());
        Assert.IsType<ChoiceFinished>(passed[^1]);
    }

    private static async Task<List<GenerationEvent>> RunAsync(List<GenerationEvent> events)
    {
        var call = DialectCalls.Answered(OpenAiChatDialect.Create(), """{"model":"a","messages":[{"role":"user","content":"x"}]}""");
        var policy = new CallPolicy(Rules, new NoJudge());
        using var filter = new OutputFilter(call, policy);
        using var batch = new EventBatch();
        foreach (var made in events)
        {
            await filter.AddAsync(made, batch, Token);
            if (filter.IsBlocked) break;
        }
        await filter.CompleteAsync(batch, Token);
        return [.. batch.Items.Select(item => item.Event!)];
    }

    private static void Cut(List<GenerationEvent> events, string text, Func<string, GenerationEvent> make, Random random)
    {
        for (var at = 0; at < text.Length;)
        {
            var length = Math.Min(text.Length - at, random.Next(1, 9));
            events.Add(make(text.Substring(at, length)));
            at += length;
        }
    }

    private static string Text<T>(IEnumerable<GenerationEvent> events, Func<T, string> read)
        where T : GenerationEvent
    {
        var text = new StringBuilder();
        foreach (var made in events.OfType<T>()) text.Append(read(made));
        return text.ToString();
    }

    private static string Describe(GenerationEvent made) => made.ToString();

    private sealed class NoJudge : IWindowJudge
    {
        public ValueTask<JudgeVerdict> JudgeAsync(PolicyRuleReference rule, string text, CancellationToken cancellationToken) => new(JudgeVerdict.Unavailable);
    }
}
