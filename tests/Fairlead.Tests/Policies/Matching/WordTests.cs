using Fairlead.Policies.Matching;

namespace Fairlead.Tests.Policies.Matching;

public sealed class WordTests
{
    [Theory]
    [InlineData("secret", "A Secret and SECRETS, secretary.", "Secret")]
    [InlineData("project x", "about Project  X and project\nx", "Project  X|project\nx")]
    [InlineData("schön", "Schön, schon, SCHÖN, scho\u0308n", "Schön|SCHÖN|scho\u0308n")]
    [InlineData("scho\u0308n", "schön", "schön")]
    [InlineData("bomb", "b\u200Bo\u2060m\u00ADb", "b\u200Bo\u2060m\u00ADb")]
    [InlineData("bomb", "ｂｏｍｂ 𝐛𝐨𝐦𝐛 ⓑⓞⓜⓑ", "ｂｏｍｂ|𝐛𝐨𝐦𝐛|ⓑⓞⓜⓑ")]
    [InlineData("pass*", "passport, bypass, pass", "pass|pass")]
    [InlineData("*pass", "passport, bypass, pass", "pass|pass")]
    [InlineData("*ass*", "passport, classy", "ass|ass")]
    [InlineData("机密", "这是机密文件", "机密")]
    [InlineData("c++", "C++ and c+++", "C++|c++")]
    [InlineData("don't", "I don’t know", "don’t")]
    [InlineData("кот", "Кот и котик", "Кот")]
    [InlineData("a", "a ab b_a a", "a|a")]
    public void Find_Word_FindsWholeWords(string word, string text, string expected) =>
        Assert.Equal(expected.Split('|'), Matching.Find(Matching.Words(PolicyAction.Redact, word) with { Restore = true }, text));

    [Fact]
    public void Find_WordsWithCommonStart_FindsLongest()
    {
        var rule = Matching.Words(PolicyAction.Redact, "new", "new york", "york times", "new york times square") with { Restore = true };
        Assert.Equal(["new york", "new"], Matching.Find(rule, "the new york times and a new one"));
    }

    [Fact]
    public void Push_NoBeginningOfWord_HoldsNothing()
    {
        var policies = Matching.Compile(Matching.Words(PolicyAction.Block, "secret project", "zebra"));
        using var guard = policies.GuardOutput(ChannelKind.Text, new PolicyTally(), new Placeholders());
        var output = new System.Buffers.ArrayBufferWriter<char>();
        guard.Push("We talk about a ", output);
        Assert.Equal(0, guard.Held);
        guard.Push("sec", output);
        Assert.Equal(3, guard.Held);
        guard.Push("ond thing, my secret", output);
        Assert.Equal("We talk about a second thing, my ", new string(output.WrittenSpan));
        Assert.Equal(GuardResult.Continue, guard.Push(" pro", output));
        Assert.Equal(GuardResult.Continue, guard.Push("ject", output));
        Assert.Equal(GuardResult.Blocked, guard.Push(".", output));
        Assert.Equal("We talk about a second thing, my ", new string(output.WrittenSpan));
    }

    [Fact]
    public void Find_ManyInvisibleCharacters_DoesNotHoldForEver()
    {
        var policies = Matching.Compile(Matching.Words(PolicyAction.Redact, "secret"));
        var outcome = Matching.GuardByCharacter(policies, "sec" + new string('\u200B', 5000) + "ret");
        Assert.True(outcome.MaxHeld < 100, $"{outcome.MaxHeld}");
        Assert.Equal("sec" + new string('\u200B', 5000) + "ret", outcome.Output);
    }
}
