using System.Buffers;
using System.Text;
using System.Text.Json;
using CsCheck;
using Fairlead.Policies.Matching;

namespace Fairlead.Tests.Policies.Matching;

public sealed class OutputGuardTests
{
    private static readonly string[] Pieces =
    [
        "ada@example.com", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "536-90-4399", "+49 30 901820", "10.1.2.3", "fe80::1",
        "ghp_aB3daB3daB3daB3daB3daB3daB3daB3daB3d", "q7Rk2Lp9XvT4mZw8Yb3N", "secret", "Secret Project", "zebra", "机密", "aab", "key=1234", "[EMAIL_1]",
        "[REDACTED_2]", "[", "]", "@", "+", "-----BEGIN PRIVATE KEY-----\naB3d+/ZkaB3d+/Zk\n-----END PRIVATE KEY-----", "-----BEGIN ", "😀", "\uD83D", "é", "e\u0301",
        "\u200B", "ｓｅｃｒｅｔ", " ", " ", " ", ".", ",", "\n", "\"", "\\", "a", "b", "word", "1", "4111", "DE", "sk-", ":", "ada@", "{", "}", "-", "sec",
    ];

    private static readonly Gen<string> Texts =
        Gen.Select(Gen.Int[0, Pieces.Length - 1].Array[0, 14], static indexes => string.Concat(indexes.Select(index => Pieces[index])));

    private static readonly Gen<PolicyRule> Rules = Gen.Select(Gen.Int[0, 14], Gen.Int[0, 5], Gen.Bool, static (type, action, restore) =>
    {
        // Blocks are rarer, so that most texts pass as a whole.
        var does = action switch { 0 => PolicyAction.Block, < 4 => PolicyAction.Redact, _ => PolicyAction.Flag };
        var rule = type switch
        {
            < 9 => Matching.Kind(does, MatchKinds.PersonalData.Concat(MatchKinds.Secrets).ElementAt(type)),
            9 => Matching.Words(does, "secret", "zebra", "机密"),
            10 => Matching.Words(does, "secret project", "word*", "*ab"),
            11 => Matching.Pattern(does, "a+b", 5),
            12 => Matching.Pattern(does, @"key=\S+", 8),
            13 => Matching.Pattern(does, @"\b\w+@", 6),
            _ => Matching.Pattern(does, @"[\w ]{3}\.$", 4),
        };
        return rule with { Restore = restore && does == PolicyAction.Redact };
    });

    private static readonly Gen<CompiledPolicies> Policies = Rules.Array[1, 5].Select(static rules =>
        Matching.Compile([.. rules.Select((rule, index) => rule with { Id = $"r{index}" })]));

    [Fact]
    public void Push_AnyRulesTextAndCuts_ResultsDoNotDependOnCuts() => CheckCuts(Texts, ChannelKind.Text);

    [Fact]
    public void Push_AnyRulesJsonAndCuts_ResultsDoNotDependOnCuts() => CheckCuts(JsonTexts(), ChannelKind.Json);

    [Fact]
    public void Push_AnyTextAsJson_ResultsDoNotDependOnCuts() => CheckCuts(Texts, ChannelKind.Json);

    private static void CheckCuts(Gen<string> texts, ChannelKind kind) =>
        Gen.Select(Policies, texts, Gen.Int[0, 1000].Array[0, 8]).Sample((policies, text, places) =>
        {
            var whole = Matching.Guard(policies, text, kind);
            var single = Matching.GuardByCharacter(policies, text, kind);
            var cut = Matching.Guard(policies, text, places.Select(place => place % (text.Length + 1)).Order(), kind);
            Assert.Equal((whole.Output, whole.BlockedBy, whole.Counts), (single.Output, single.BlockedBy, single.Counts));
            Assert.Equal((whole.Output, whole.BlockedBy, whole.Counts), (cut.Output, cut.BlockedBy, cut.Counts));
        }, iter: 3000, threads: 1);

    /// <summary>With restore on every redaction, a reader gets the original, whatever was found.</summary>
    [Fact]
    public void Restore_AnyRedactingRules_GivesOriginal() =>
        Gen.Select(Rules.Array[1, 5], Texts, Gen.Int[0, 1000].Array[0, 6]).Sample((rules, text, places) =>
        {
            var policies = Matching.Compile([.. rules.Select((rule, index) => rule with { Id = $"r{index}", Action = PolicyAction.Redact, Restore = true })]);
            var outcome = Matching.CheckInput(policies, text);
            Assert.Equal(text, outcome.Placeholders.Restore(outcome.Output, ChannelKind.Text));
            Assert.Equal(text, RestoreInPieces(outcome, places, ChannelKind.Text));
        }, iter: 2000, threads: 1);

    /// <summary>Redacted JSON is JSON, and a reader gets the original values, numbers as numbers.</summary>
    [Fact]
    public void Restore_AnyRulesAndJson_GivesOriginalValues() =>
        Gen.Select(Rules.Array[1, 5], JsonTexts(), Gen.Int[0, 1000].Array[0, 6]).Sample((rules, text, places) =>
        {
            var policies = Matching.Compile([.. rules.Select((rule, index) => rule with { Id = $"r{index}", Action = PolicyAction.Redact, Restore = true })]);
            var outcome = Matching.CheckInput(policies, text, ChannelKind.Json);
            using var redacted = JsonDocument.Parse(outcome.Output);
            using var original = JsonDocument.Parse(text);
            using var restored = JsonDocument.Parse(RestoreInPieces(outcome, places, ChannelKind.Json));
            Assert.True(JsonElement.DeepEquals(original.RootElement, restored.RootElement), $"{text}\n{outcome.Output}\n{restored.RootElement}");
        }, iter: 2000, threads: 1);

    /// <summary>What a rule matches never leaves: the same rules find nothing more in what has left.</summary>
    [Fact]
    public void Push_PlantedValues_NeverLeave() =>
        Gen.Select(Gen.Int[0, 11].Array[1, 8], Gen.Int[1, 20], Gen.Bool).Sample((indexes, size, isBlock) =>
        {
            string[] planted = [.. indexes.Select(index => Pieces[index])];
            var text = "Start, " + string.Join(" and, ", planted) + " end.";
            var action = isBlock ? PolicyAction.Block : PolicyAction.Redact;
            var policies = Matching.Compile(Matching.Personal(action), Matching.Secrets(action), Matching.Words(action, "secret", "zebra", "secret project"));
            var outcome = Matching.Guard(policies, text, Enumerable.Range(0, text.Length).Where(place => place % size == 0));
            foreach (var value in planted) Assert.DoesNotContain(value, outcome.Output, StringComparison.Ordinal);
            Assert.StartsWith("Start, ", outcome.Output, StringComparison.Ordinal);
            Assert.Equal(isBlock, outcome.BlockedBy is not null);
            if (!isBlock) Assert.EndsWith(" end.", outcome.Output, StringComparison.Ordinal);
            else Assert.Equal("Start, ", outcome.Output);
        }, iter: 500, threads: 1);

    [Fact]
    public void Push_AnyText_HoldsAtMostMaximum() =>
        Gen.Select(Policies, Texts).Sample((policies, text) =>
        {
            text = text.Replace("\u200B", "", StringComparison.Ordinal);
            var outcome = Matching.GuardByCharacter(policies, text);
            // One more where a pair would be divided.
            Assert.InRange(outcome.MaxHeld, 0, policies.MaxHeldCharacters + 1);
        }, iter: 2000, threads: 1);

    [Fact]
    public void Push_LongText_IsTheSameAsInPieces()
    {
        // Longer than the buffers, with values at all places relative to their borders.
        var text = new StringBuilder();
        for (var i = 0; text.Length < 60_000; i++) text.Append(new string('x', i % 97)).Append(' ').Append(Pieces[i % Pieces.Length]).Append(i % 5 == 0 ? "é " : " ");
        var policies = Matching.Compile(Matching.Personal(PolicyAction.Redact) with { Restore = true }, Matching.Secrets(PolicyAction.Redact), Matching.Pattern(PolicyAction.Flag, "x{3}", 3),
            Matching.Words(PolicyAction.Redact, "zebra") with { Id = "w", Restore = true });
        var whole = Matching.Guard(policies, text.ToString());
        foreach (var size in (int[])[1, 7, 1000, 5003])
        {
            var cut = Matching.Guard(policies, text.ToString(), Enumerable.Range(0, text.Length / size).Select(place => place * size));
            Assert.Equal((whole.Output, whole.Counts), (cut.Output, cut.Counts));
        }
    }

    [Theory]
    [InlineData("""{"to":"ada@example.com"}""", """{"to":"[EMAIL_1]"}""")]
    [InlineData("""{"to":"ada\u0040example.com"}""", """{"to":"[EMAIL_1]"}""")]
    [InlineData("""{"to":"\"ada@ex\u0061mple.com\"\n"}""", """{"to":"\"[EMAIL_1]\"\n"}""")]
    [InlineData("""{"ada@example.com":1}""", """{"[EMAIL_1]":1}""")]
    [InlineData("""{"card": 4111111111111111 , "n":41}""", """{"card": "[CARD_1]" , "n":41}""")]
    [InlineData("""[4111111111111111,"4111111111111111"]""", """["[CARD_1]","[CARD_2]"]""")]
    [InlineData("""{"a":"ada@","b":"example.com"}""", """{"a":"ada@","b":"example.com"}""")]
    [InlineData("""{"a":"\q\u12x ada@example.com""", """{"a":"\q\u12x [EMAIL_1]""")]
    [InlineData("Sorry, ada@example.com is \"private\".", "Sorry, [EMAIL_1] is \"private\".")]
    [InlineData("""{"x":"\uD83D\uDE00 ok\u"}""", """{"x":"\uD83D\uDE00 ok\u"}""")]
    public void Push_Json_RedactsInsideOfStringsAndKeepsJson(string text, string expected)
    {
        var policies = Matching.Compile(Matching.Personal(PolicyAction.Redact, "email", "card"));
        Assert.Equal(expected, Matching.Guard(policies, text, ChannelKind.Json).Output);
        Assert.Equal(expected, Matching.GuardByCharacter(policies, text, ChannelKind.Json).Output);
    }

    [Fact]
    public void Push_OverlapWithRuleThatDoesNotRestore_RestoresNothingOfIt()
    {
        var policies = Matching.Compile(Matching.Pattern(PolicyAction.Redact, "abcd", 4) with { Restore = true }, Matching.Words(PolicyAction.Redact, "*cdef*"));
        var outcome = Matching.CheckInput(policies, "x abcdef x");
        Assert.Equal("x [REDACTED_1][REDACTED_2] x", outcome.Output);
        Assert.Equal(outcome.Output, outcome.Placeholders.Restore(outcome.Output, ChannelKind.Text));
    }

    [Fact]
    public void Push_BlockAndFlags_CountsOnlyWhatStandsBeforeBlock()
    {
        var policies = Matching.Compile(Matching.Words(PolicyAction.Flag, "cat", "dog"), Matching.Pattern(PolicyAction.Block, "stop", 4));
        foreach (var outcome in (Matching.Outcome[])[Matching.Guard(policies, "cat dog stop cat"), Matching.GuardByCharacter(policies, "cat dog stop cat")])
        {
            Assert.Equal("cat dog ", outcome.Output);
            Assert.Equal("words Output 2, regex Output 1", outcome.Counts);
        }
    }

    [Fact]
    public void Push_FlagsOnly_HoldNothing()
    {
        var policies = Matching.Compile(Matching.Personal(PolicyAction.Flag), Matching.Pattern(PolicyAction.Flag, "a{50}", 50));
        var outcome = Matching.GuardByCharacter(policies, "ada@example.com " + new string('a', 120));
        Assert.Equal(0, outcome.MaxHeld);
        Assert.Equal("personal Output 1, regex Output 2", outcome.Counts);
    }

    private static string RestoreInPieces(Matching.Outcome outcome, int[] places, ChannelKind kind)
    {
        var (restorer, output, start) = (outcome.Placeholders.OpenRestorer(kind), new ArrayBufferWriter<char>(), 0);
        foreach (var cut in places.Select(place => place % (outcome.Output.Length + 1)).Order().Append(outcome.Output.Length))
        {
            restorer.Push(outcome.Output.AsSpan(start, cut - start), output);
            start = cut;
        }
        restorer.Complete(output);
        return new string(output.WrittenSpan);
    }

    private static Gen<string> JsonTexts() =>
        Gen.Select(Gen.Int[0, Pieces.Length - 1].Array[0, 5].Array[1, 4], Gen.Int[0, 4].Array[1, 40], static (strings, styles) =>
        {
            var text = new StringBuilder("{");
            var style = 0;
            for (var i = 0; i < strings.Length; i++)
            {
                // Half pairs are no JSON.
                var value = string.Concat(strings[i].Select(index => Pieces[index])).Replace("\uD83D", "", StringComparison.Ordinal).Replace("\uDE00", "", StringComparison.Ordinal);
                text.Append(i > 0 ? ", " : "").Append('"').Append(i).Append("\": ");
                switch (styles[i % styles.Length])
                {
                    case 0:
                        text.Append("4111111111111111");
                        break;
                    case 1:
                        text.Append(" [true, 41, null , 86095742719]");
                        break;
                    default:
                        text.Append('"');
                        foreach (var c in value)
                        {
                            var isEscaped = c is '"' or '\\' || c < ' ' || styles[style++ % styles.Length] == 3;
                            text.Append(isEscaped ? $"\\u{(int)c:x4}" : c.ToString());
                        }
                        text.Append('"');
                        break;
                }
            }
            return text.Append('}').ToString();
        });
}
