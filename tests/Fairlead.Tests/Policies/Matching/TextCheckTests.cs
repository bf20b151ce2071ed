using Fairlead.Policies.Matching;

namespace Fairlead.Tests.Policies.Matching;

public sealed class TextCheckTests
{
    [Fact]
    public void Check_SeveralTexts_NumberValuesOncePerCall()
    {
        var (tally, placeholders) = (new PolicyTally(), new Placeholders());
        using var check = Matching.Compile(Matching.Personal(PolicyAction.Redact, "email", "phone")).CheckInput(tally, placeholders);
        Assert.Equal("[EMAIL_1] and [EMAIL_2]", check.Check("a@x.org and b@x.org").NewText);
        Assert.Equal("[EMAIL_2], [PHONE_1]", check.Check("b@x.org, +49 30 901820").NewText);
        Assert.True(check.Check("nothing here").IsUnchanged);
        Assert.Equal("""{"to":"[EMAIL_1]"}""", check.Check("""{"to":"a\u0040x.org"}""", ChannelKind.Json).NewText);
        Assert.Equal("personal Input 5", Matching.CountsOf(tally));
        Assert.False(placeholders.HasRestorable);
    }

    [Fact]
    public void Check_TextWithBlockedWord_NamesPolicyVersionAndRule()
    {
        var tally = new PolicyTally();
        var policies = CompiledPolicies.Compile([new PolicyDefinition("pol_7", "house rules", 3, [Matching.Words(PolicyAction.Block, "zebra")])]);
        using var check = policies.CheckInput(tally, new Placeholders());
        var block = check.Check("a Zebra").Block!;
        Assert.Equal(("pol_7", "house rules", 3, "words", false),
            (block.Rule.PolicyId, block.Rule.PolicyName, block.Rule.Version, block.Rule.RuleId, block.IsUnavailable));
        Assert.Equal("words Input 1", Matching.CountsOf(tally));
    }

    [Fact]
    public void Check_LiteralPlaceholder_IsNotRestoredToAnotherValue()
    {
        var placeholders = new Placeholders();
        using var check = Matching.Compile(Matching.Personal(PolicyAction.Redact, "email") with { Restore = true }).CheckInput(new PolicyTally(), placeholders);
        var first = check.Check("I am a@x.org").NewText!;
        var second = check.Check("What is [EMAIL_1]?").NewText!;
        Assert.Equal("I am [EMAIL_1]", first);
        Assert.DoesNotContain("[EMAIL_1]", second, StringComparison.Ordinal);
        Assert.Equal("What is [EMAIL_1]?", placeholders.Restore(second, ChannelKind.Text));
    }

    [Fact]
    public void Restore_OutputThatRepeatsPlaceholder_GivesValueOfInput()
    {
        var (tally, placeholders, output) = (new PolicyTally(), new Placeholders(), new System.Buffers.ArrayBufferWriter<char>());
        var policies = Matching.Compile(Matching.Personal(PolicyAction.Redact, "email") with { Restore = true });
        using var check = policies.CheckInput(tally, placeholders);
        check.Check("I am a@x.org");
        using var guard = policies.GuardOutput(ChannelKind.Text, tally, placeholders);
        guard.Push("Hello [EMAIL_1], write to b@x.org, not [EMAIL_9].", output);
        guard.Complete(output);
        Assert.Equal("Hello [EMAIL_1], write to [EMAIL_2], not [REDACTED_1].", new string(output.WrittenSpan));
        Assert.Equal("Hello a@x.org, write to [EMAIL_2], not [EMAIL_9].", placeholders.Restore(new string(output.WrittenSpan), ChannelKind.Text));
    }

    [Fact]
    public void Check_MoreValuesThanNumbers_RedactsWithoutNumber()
    {
        var placeholders = new Placeholders();
        using var check = Matching.Compile(Matching.Personal(PolicyAction.Redact, "email") with { Restore = true }).CheckInput(new PolicyTally(), placeholders);
        var text = string.Join(' ', Enumerable.Range(0, Placeholders.MaxValues + 1).Select(i => $"u{i}@x.org"));
        Assert.EndsWith("[EMAIL_10000] [EMAIL]", check.Check(text).NewText, StringComparison.Ordinal);
    }

    [Fact]
    public void Identity_AnyChange_Differs()
    {
        var rule = Matching.Words(PolicyAction.Block, "a", "b");
        CompiledPolicies[] different =
        [
            Matching.Compile(rule), Matching.Compile(rule with { Words = ["ab"] }), Matching.Compile(rule with { Words = ["a;1:b"] }),
            Matching.Compile(rule with { Action = PolicyAction.Redact }), Matching.Compile(rule with { Action = PolicyAction.Redact, Restore = true }),
            Matching.Compile(rule with { Direction = PolicyDirection.Input }), Matching.Compile(rule, rule with { Id = "x" }),
            CompiledPolicies.Compile([new PolicyDefinition("pol_1", "test", 2, [rule])]), CompiledPolicies.Empty,
        ];
        Assert.Equal(different.Length, different.Select(policies => policies.Identity).Distinct().Count());
        Assert.Equal(Matching.Compile(rule).Identity, Matching.Compile(rule with { }).Identity);
    }

    [Fact]
    public void Compile_NoRules_LooksAtNothing()
    {
        var policies = CompiledPolicies.Compile([]);
        Assert.False(policies.HasInput || policies.HasOutput || policies.HasRestore);
        Assert.Equal((0, ""), (policies.MaxHeldCharacters, policies.Identity));
    }
}
