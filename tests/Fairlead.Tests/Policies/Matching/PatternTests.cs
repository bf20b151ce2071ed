using System.Text.RegularExpressions;
using CsCheck;
using Fairlead.Policies.Matching;

namespace Fairlead.Tests.Policies.Matching;

public sealed class PatternTests
{
    private static readonly string[] Patterns =
    [
        "ab+c", "a.*b", "a[^b]{0,6}b", @"\bab\b", @"\ba\w*", "a$", "^a", "(?m)^a.?$", @"\bfoo.*\b", "a(.*b)?", "abcd|c", "(?i)AB", @"b\B", @"a{2,5}",
        "(a|ab)(c|bcd)?", @"\Aa+", @"a+\z", @"\s+b", "a{4}.{9}b|b",
    ];

    /// <summary>
    /// A match starts at a place if the expression matches there within the maximum length; tried for each place and length, with the real
    /// neighbours.
    /// </summary>
    [Fact]
    public void Find_AnyPatternAndText_StartsWhereExpressionMatches()
    {
        Gen.Select(Gen.Int[0, Patterns.Length - 1], Gen.Char["abcd \nf"].Array[0, 40], Gen.Int[1, 9]).Sample((index, characters, longest) =>
        {
            var (pattern, text) = (Patterns[index], new string(characters));
            var expected = Reference(pattern, text, longest);
            var matcher = new RegexMatcher(pattern, longest);
            var (from, found) = (0, new List<int>());
            while (matcher.Next(text, from, isFinal: true) is { Status: MatchStatus.Found } step)
            {
                // What precedes a match decides nothing here: the next search starts at the end of the last one.
                found.Add(step.Start);
                Assert.InRange(step.Length, 1, longest);
                from = step.Start + step.Length;
                var next = expected.FirstOrDefault(start => start >= from, -1);
                var after = matcher.Next(text, from, isFinal: true);
                Assert.Equal(next, after.Status == MatchStatus.Found ? after.Start : -1);
            }
            Assert.Equal(expected.Count == 0 ? [] : [expected[0]], found.Take(1));
        }, iter: 3000);
    }

    private static List<int> Reference(string pattern, string text, int longest)
    {
        // The end is that of the text, not before a last line feed.
        if (!pattern.StartsWith("(?m)", StringComparison.Ordinal)) pattern = pattern.Replace("$", @"\z", StringComparison.Ordinal);
        // The lookahead is checked on the real text: RegexOptions.None supports it.
        var starts = new List<int>();
        for (var start = 0; start < text.Length; start++)
        {
            for (var length = 1; length <= longest && start + length <= text.Length; length++)
            {
                var regex = new Regex($@"\G(?:{pattern})(?<=\A[\s\S]{{{start + length}}})", RegexOptions.CultureInvariant);
                if (!regex.IsMatch(text, start)) continue;
                starts.Add(start);
                break;
            }
        }
        return starts;
    }

    [Fact]
    public void Push_PatternWithoutMatch_HoldsAtMostItsLength()
    {
        var policies = Matching.Compile(Matching.Pattern(PolicyAction.Redact, "a.*z", 25));
        Assert.Equal(25, policies.MaxHeldCharacters);
        var outcome = Matching.GuardByCharacter(policies, new string('a', 500));
        Assert.Equal(25, outcome.MaxHeld);
        Assert.Equal(new string('a', 500), outcome.Output);
    }

    [Fact]
    public void Find_RunLongerThanMaximum_IsRedactedInPieces()
    {
        var policies = Matching.Compile(Matching.Pattern(PolicyAction.Redact, @"key=\S+", 10));
        Assert.Equal("[REDACTED_1]456789 b", Matching.GuardByCharacter(policies, "key=123456456789 b").Output);
    }
}
