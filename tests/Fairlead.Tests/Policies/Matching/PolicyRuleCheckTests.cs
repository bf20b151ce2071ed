using Fairlead.Policies.Matching;

namespace Fairlead.Tests.Policies.Matching;

public sealed class PolicyRuleCheckTests
{
    private static readonly PolicyRule Words = Matching.Words(PolicyAction.Block, "a");
    private static readonly PolicyRule Regex = Matching.Pattern(PolicyAction.Block, "a+", 10);
    private static readonly PolicyRule Secrets = Matching.Secrets(PolicyAction.Redact);
    private static readonly PolicyRule Injection = new() { Id = "i", Type = PolicyRuleType.PromptInjection, Action = PolicyAction.Flag };
    private static readonly PolicyRule Remote = new() { Id = "r", Type = PolicyRuleType.Remote, Action = PolicyAction.Block, Url = "https://x.test" };

    [Fact]
    public void CheckAll_CorrectRules_HaveNoProblems() => Assert.Empty(PolicyRuleCheck.CheckAll(
    [
        Words, Regex, Secrets with { Restore = true, MaxMatchLength = 300 }, Matching.Personal(PolicyAction.Flag, "email", "ip"), Injection,
        Remote with { TimeoutMs = 500, OnFailure = PolicyFailure.Closed, WindowCharacters = 0, Direction = PolicyDirection.Input },
    ]));

    [Fact]
    public void Check_WrongRule_NamesFieldReasonAndRemedy()
    {
        (PolicyRule Rule, string Field)[] wrong =
        [
            (Words with { Id = "" }, "id"), (Words with { Id = "a b" }, "id"), (Words with { Words = null }, "words"), (Words with { Words = [] }, "words"),
            (Words with { Words = ["ok", " * "] }, "words[1]"), (Words with { Words = ["\u200B"] }, "words[0]"), (Words with { Words = ["a*b"] }, "words[0]"),
            (Words with { Words = [new string('a', 201)] }, "words[0]"), (Words with { Words = [.. Enumerable.Repeat("a", 10_001)] }, "words"),
            (Words with { Words = [.. Enumerable.Repeat(new string('a', 150), 1_500)] }, "words"), (Words with { Pattern = "a" }, "pattern"),
            (Words with { Restore = true }, "restore"), (Words with { MaxMatchLength = 5 }, "max_match_length"), (Words with { Kinds = ["email"] }, "kinds"),
            (Regex with { Pattern = null }, "pattern"), (Regex with { Pattern = "(" }, "pattern"), (Regex with { Pattern = "(?=a)b" }, "pattern"),
            (Regex with { Pattern = @"(a)\1" }, "pattern"), (Regex with { Pattern = @"\Ga" }, "pattern"), (Regex with { Pattern = "(?x)a # b" }, "pattern"),
            (Regex with { Pattern = "a*" }, "pattern"), (Regex with { Pattern = new string('a', 1001) }, "pattern"),
            (Regex with { Pattern = "((a{50}){50}){50}" }, "pattern"), (Regex with { MaxMatchLength = null }, "max_match_length"),
            (Regex with { MaxMatchLength = 0 }, "max_match_length"), (Regex with { MaxMatchLength = 1001 }, "max_match_length"),
            (Secrets with { Kinds = ["email"] }, "kinds[0]"), (Secrets with { Kinds = ["known_key", "known_key"] }, "kinds[1]"),
            (Secrets with { MaxMatchLength = 19 }, "max_match_length"), (Secrets with { Kinds = ["known_key"], MaxMatchLength = 100 }, "max_match_length"),
            (Secrets with { WindowCharacters = 500 }, "window_characters"), (Secrets with { OnFailure = PolicyFailure.Closed }, "on_failure"),
            (Injection with { Action = PolicyAction.Redact }, "action"), (Injection with { WindowCharacters = 99 }, "window_characters"),
            (Injection with { WindowCharacters = 0, Direction = PolicyDirection.Output }, "window_characters"), (Injection with { Url = "x" }, "url"),
            (Remote with { Action = PolicyAction.Redact }, "action"), (Remote with { Url = null }, "url"), (Remote with { Model = "m" }, "model"),
            (Remote with { TimeoutMs = 0 }, "timeout_ms"), (Remote with { TimeoutMs = 60_001 }, "timeout_ms"), (Remote with { Words = ["a"] }, "words"),
        ];
        foreach (var (rule, field) in wrong)
        {
            var problem = Assert.Single(PolicyRuleCheck.Check(rule));
            Assert.Equal(field, problem.Field);
            Assert.False(string.IsNullOrWhiteSpace(problem.Reason) || string.IsNullOrWhiteSpace(problem.Remedy));
            Assert.EndsWith(".", problem.Remedy, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void CheckAll_SeveralProblems_ReportsAllWithTheirRule()
    {
        var problems = PolicyRuleCheck.CheckAll([Words, Regex with { Pattern = "(", MaxMatchLength = null }, Words with { Words = [] }]);
        Assert.Equal(["rules[1].max_match_length", "rules[1].pattern", "rules[2].words", "rules[2].id"], problems.Select(problem => problem.Field));
        Assert.Equal("rules", Assert.Single(PolicyRuleCheck.CheckAll([])).Field);
        Assert.Equal("rules", Assert.Single(PolicyRuleCheck.CheckAll([.. Enumerable.Repeat(Words, 101)])).Field);
    }
}
