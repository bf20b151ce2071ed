using System.Buffers;
using Fairlead.Policies.Matching;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Policies.Matching;

/// <summary>What judges see, and how often they are asked.</summary>
public sealed class JudgeTests
{
    private static readonly PolicyRule Remote =
        new() { Id = "remote", Type = PolicyRuleType.Remote, Action = PolicyAction.Block, Url = "https://judge.test", WindowCharacters = 100 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // The organization judges and redacts addresses; a key redacts the word that the judge looks for.
    private static CompiledPolicies Levels => CompiledPolicies.Compile(
    [
        new PolicyDefinition("org", "org", 1, [Remote, Matching.Personal(PolicyAction.Redact, "email")]) { Level = 1 },
        new PolicyDefinition("key", "key", 1, [Matching.Words(PolicyAction.Redact, "evil")]) { Level = 3 },
    ]);

    [Fact]
    public async Task Input_RedactedByLowerLevel_IsJudgedAsItWas()
    {
        var judge = new Judge { Matches = "evil" };
        using var check = Levels.CheckInput(new PolicyTally(), new Placeholders());
        var result = await check.CheckAsync("evil ada@example.org", ChannelKind.Text, judge, Token);
        Assert.Equal(["evil [EMAIL_1]"], judge.Asked);
        Assert.Equal("remote", result.Block?.Rule.RuleId);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(1000)]
    public async Task Output_RedactedByLowerLevel_IsJudgedAsItWas(int size)
    {
        var (judge, output) = (new Judge { Matches = "evil" }, new ArrayBufferWriter<char>());
        using var guard = Levels.GuardOutput(ChannelKind.Text, new PolicyTally(), new Placeholders(), judge);
        const string Text = "good words evil ada@example.org";
        for (var at = 0; at < Text.Length; at += size) await guard.PushAsync(Text.AsMemory(at, Math.Min(size, Text.Length - at)), output, Token);
        Assert.Equal(GuardResult.Blocked, await guard.CompleteAsync(output, Token));
        Assert.Equal(["good words evil [EMAIL_1]"], judge.Asked);
        Assert.Equal(0, output.WrittenCount);
    }

    [Fact]
    public async Task Output_Clear_IsRedactedByAllLevels()
    {
        var output = new ArrayBufferWriter<char>();
        using var guard = Levels.GuardOutput(ChannelKind.Text, new PolicyTally(), new Placeholders(), new Judge());
        await guard.PushAsync("evil ada@example.org".AsMemory(), output, Token);
        Assert.Equal(GuardResult.Continue, await guard.CompleteAsync(output, Token));
        Assert.Equal("[REDACTED_1] [EMAIL_1]", new string(output.WrittenSpan));
    }

    [Fact]
    public async Task Input_ManyTexts_AreJudgedTogether()
    {
        var judge = new Judge();
        using var check = Matching.Compile(Remote).CheckInput(new PolicyTally(), new Placeholders());
        for (var i = 0; i < 1_000; i++) check.Check($"text {i}");
        Assert.Null(await check.JudgeAsync(judge, TimeProvider.System, Token));
        Assert.Single(judge.Asked);
        Assert.Contains("text 999", judge.Asked[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Input_TooLong_HasNoVerdictForTheRest(bool isBlocked)
    {
        var mode = isBlocked ? PolicyFailure.Closed : PolicyFailure.Open;
        var judge = new Judge();
        using var check = Matching.Compile(Remote with { OnFailure = mode }).CheckInput(new PolicyTally(), new Placeholders());
        check.Check(new string('x', 1_000_000));
        var block = await check.JudgeAsync(judge, TimeProvider.System, Token);
        Assert.Equal(isBlocked, block is { IsUnavailable: true });
        Assert.Equal(TextCheck.MaxJudgements, judge.Asked.Count);
    }

    [Fact]
    public async Task Input_SlowJudge_EndsAtTotalTime()
    {
        var time = new FakeTimeProvider();
        var judge = new Judge { OnAsked = () => time.Advance(TimeSpan.FromSeconds(4)) };
        using var check = Matching.Compile(Remote with { OnFailure = PolicyFailure.Closed }).CheckInput(new PolicyTally(), new Placeholders());
        check.Check(new string('x', 400_000));
        Assert.True(await check.JudgeAsync(judge, time, Token) is { IsUnavailable: true });
        Assert.Equal(3, judge.Asked.Count);
    }

    [Theory]
    [InlineData("[INFO] password: hunter2", "[INFO] [REDACTED_1]")]
    [InlineData("[2024-01-01] password: hunter2", "[2024-01-01] [REDACTED_1]")]
    [InlineData("[12] password: hunter2", "[12] [REDACTED_1]")]
    [InlineData("{password: hunter2", "{[REDACTED_1]")]
    [InlineData("true password: hunter2", "[REDACTED_1]")]
    [InlineData("nothing, password: hunter2", "nothing, [REDACTED_1]")]
    [InlineData("{\"a\":true}\npassword: hunter2", "{\"a\":true}\n[REDACTED_1]")]
    [InlineData("[4111 1111 1111 1111]", "[[CARD_1]]")]
    public void Json_ThatIsNone_IsOneText(string text, string expected)
    {
        var policies = Matching.Compile(Matching.Pattern(PolicyAction.Redact, @"(true )?password:\s*\S+", 40), Matching.Personal(PolicyAction.Redact, "card"));
        Assert.Equal(expected, Matching.Guard(policies, text, ChannelKind.Json).Output);
        Assert.Equal(expected, Matching.GuardByCharacter(policies, text, ChannelKind.Json).Output);
    }

    private sealed class Judge : IWindowJudge
    {
        public List<string> Asked { get; } = [];

        public string Matches { get; init; } = "no such text";

        public Action? OnAsked { get; init; }

        public ValueTask<JudgeVerdict> JudgeAsync(PolicyRuleReference rule, string text, CancellationToken cancellationToken)
        {
            Asked.Add(text);
            OnAsked?.Invoke();
            return new(text.Contains(Matches, StringComparison.Ordinal) ? JudgeVerdict.Match : JudgeVerdict.Clear);
        }
    }
}
