using System.Buffers;
using Fairlead.Policies.Matching;

namespace Fairlead.Tests.Policies.Matching;

/// <summary>Runs rules over texts in tests.</summary>
internal static class Matching
{
    /// <summary>What a guard made of a text.</summary>
    /// <param name="Output">Everything that left.</param>
    /// <param name="BlockedBy">The rule that stopped it.</param>
    /// <param name="Counts">Rules and numbers.</param>
    /// <param name="MaxHeld">The most characters that were held back after a push.</param>
    /// <param name="Placeholders">The placeholders of the call.</param>
    internal sealed record Outcome(string Output, string? BlockedBy, string Counts, int MaxHeld, Placeholders Placeholders);

    public static CompiledPolicies Compile(params PolicyRule[] rules) => CompiledPolicies.Compile([new PolicyDefinition("pol_1", "test", 1, rules)]);

    public static PolicyRule Words(PolicyAction action, params string[] words) =>
        new() { Id = "words", Type = PolicyRuleType.Words, Action = action, Words = words };

    public static PolicyRule Pattern(PolicyAction action, string pattern, int longest) =>
        new() { Id = "regex", Type = PolicyRuleType.Regex, Action = action, Pattern = pattern, MaxMatchLength = longest };

    public static PolicyRule Personal(PolicyAction action, params string[] kinds) =>
        new() { Id = "personal", Type = PolicyRuleType.PersonalData, Action = action, Kinds = kinds };

    public static PolicyRule Secrets(PolicyAction action, params string[] kinds) =>
        new() { Id = "secrets", Type = PolicyRuleType.Secrets, Action = action, Kinds = kinds };

    public static PolicyRule Kind(PolicyAction action, string kind) =>
        MatchKinds.PersonalData.Contains(kind) ? Personal(action, kind) : Secrets(action, kind);

    /// <summary>Guards a text as one piece.</summary>
    public static Outcome Guard(CompiledPolicies policies, string text, ChannelKind kind = ChannelKind.Text) => Guard(policies, text, [], kind);

    /// <summary>Guards a text that is divided at some places.</summary>
    public static Outcome Guard(CompiledPolicies policies, string text, IEnumerable<int> cuts, ChannelKind kind = ChannelKind.Text)
    {
        var (tally, placeholders, output) = (new PolicyTally(), new Placeholders(), new ArrayBufferWriter<char>());
        using var guard = policies.GuardOutput(kind, tally, placeholders);
        var (start, held) = (0, 0);
        foreach (var cut in cuts.Append(text.Length))
        {
            guard.Push(text.AsSpan(start, cut - start), output);
            if (guard.Block is null) held = Math.Max(held, guard.Held);
            start = cut;
        }
        guard.Complete(output);
        return new Outcome(new string(output.WrittenSpan), guard.Block?.Rule.RuleId, CountsOf(tally), held, placeholders);
    }

    /// <summary>Guards a text character by character.</summary>
    public static Outcome GuardByCharacter(CompiledPolicies policies, string text, ChannelKind kind = ChannelKind.Text) =>
        Guard(policies, text, Enumerable.Range(0, text.Length), kind);

    /// <summary>Checks a text as input.</summary>
    public static Outcome CheckInput(CompiledPolicies policies, string text, ChannelKind kind = ChannelKind.Text)
    {
        var (tally, placeholders) = (new PolicyTally(), new Placeholders());
        using var check = policies.CheckInput(tally, placeholders);
        var result = check.Check(text, kind);
        return new Outcome(result.NewText ?? text, result.Block?.Rule.RuleId, CountsOf(tally), 0, placeholders);
    }

    /// <summary>What a rule of one kind finds in a text, as one piece and character by character.</summary>
    public static IReadOnlyList<string> Find(string kind, string text) => Find(Kind(PolicyAction.Redact, kind) with { Restore = true }, text);

    /// <summary>What a redacting rule finds in a text, as one piece and character by character.</summary>
    public static IReadOnlyList<string> Find(PolicyRule rule, string text)
    {
        var policies = Compile(rule);
        var whole = Guard(policies, text);
        Assert.Equal(whole.Output, GuardByCharacter(policies, text).Output);
        // Only what was found in the input is restored.
        whole = CheckInput(policies, text);
        Assert.Equal(text, whole.Placeholders.Restore(whole.Output, ChannelKind.Text));
        var found = new List<string>();
        for (var i = 0; i < whole.Output.Length; i++)
        {
            var length = PlaceholderText.Measure(whole.Output.AsSpan(i));
            if (length <= 0) continue;
            Assert.True(whole.Placeholders.TryGetValue(whole.Output.AsSpan(i, length), out var value));
            found.Add(value.Value);
        }
        return found;
    }

    public static string CountsOf(PolicyTally tally) =>
        string.Join(", ", tally.Counts().Select(count => $"{count.Rule.RuleId} {count.Direction} {count.Count}"));
}
