using Fairlead.Policies.Matching;

namespace Fairlead.Tests.Policies.Matching;

/// <summary>Texts that would cost a careless matcher quadratic time.</summary>
public sealed class HostileTextTests
{
    public static TheoryData<string> Units =>
    [
        "1", "a", "a@", "a@a.", "@", "1 ", "4 ", "4111-", "1-", "12.", ":", "a:", "::", "fffff:", "DE12", "DE89 3704 ", "sk-", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----",
        "eyJ", "eyJ.", "key=", "[", "[EMAIL_", "(+", "+1", "( ", "\u200B", "é", "x\u200B", "ignore ", "ignore system ", "reveal ", "\nsystem ", "aB3", "aB3-", "secret ", "sec ret ",
        "\"", "\\", "\\u00", "{\"a\":1,", "AccountKey=", "ada@example.com ", "4111111111111111 ", "AB123456", "12345678",
    ];

    [Theory]
    [MemberData(nameof(Units))]
    public void Check_RepeatedUnit_TakesLinearTime(string unit)
    {
        var policies = Matching.Compile(Matching.Personal(PolicyAction.Redact), Matching.Secrets(PolicyAction.Redact),
            Matching.Words(PolicyAction.Redact, "secret project", "sec ret secret", "a a a a a a a b"), Matching.Pattern(PolicyAction.Redact, "a.*z", 200),
            Matching.Pattern(PolicyAction.Flag, @"key=\S+!", 100) with { Id = "second" },
            new PolicyRule { Id = "injection", Type = PolicyRuleType.PromptInjection, Action = PolicyAction.Flag });
        foreach (var kind in (ChannelKind[])[ChannelKind.Text, ChannelKind.Json])
        {
            // 4 times the text takes 4 times as long; quadratic work takes 16 times.
            var (small, large) = (Time(60_000), Time(240_000));
            Assert.True(large < (small * 8) + 20, $"{kind}: {small:f1} ms, then {large:f1} ms");

            double Time(int length)
            {
                var text = string.Concat(Enumerable.Repeat(unit, (length / unit.Length) + 1));
                var best = double.MaxValue;
                for (var run = 0; run < 3; run++)
                {
                    using var check = policies.CheckInput(new PolicyTally(), new Placeholders());
                    var start = ProcessorTime.OfThread();
                    check.Check(text, kind);
                    best = Math.Min(best, (ProcessorTime.OfThread() - start).TotalMilliseconds);
                }
                return best;
            }
        }
    }
}
