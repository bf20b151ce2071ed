using Fairlead.Conversation;
using Fairlead.Memory;
using Fairlead.Streaming.Verification;

namespace Fairlead.Tests.Streaming.Verification;

/// <summary>The text of a stream is kept only while it is the whole output, and only with room for it.</summary>
public sealed class KeptTextTests
{
    [Fact]
    public void Add_TextAndJson_IsTheDecodedText()
    {
        using var kept = new KeptText(null);
        kept.Add("Grü");
        kept.AddJson("\u00dfe 😀\n"u8);
        Assert.Equal("Grüße 😀\n", kept.Text);
    }

    [Fact]
    public void Add_HalfOfACharacter_IsDropped()
    {
        using var kept = new KeptText(null);
        kept.Add("a");
        kept.Add("\ud83d");
        kept.Add("b");
        Assert.Null(kept.Text);
    }

    [Fact]
    public void Add_NoRoomInBudget_IsDroppedAndGivenBack()
    {
        var budget = new MemoryBudget(() => 64 * 1024);
        using var kept = new KeptText(budget);
        for (var i = 0; i < 2000; i++) kept.Add(new string('x', 100));
        Assert.Null(kept.Text);
        Assert.Equal(0, budget.Used);
    }

    [Theory]
    [InlineData("reasoning")]
    [InlineData("tool")]
    [InlineData("choice")]
    public void Observe_OtherOutput_DropsTheText(string other)
    {
        using var kept = new KeptText(null);
        var digest = new OutputDigest { Kept = kept };
        digest.Observe(new TextDelta("Hello"));
        Assert.Equal("Hello", kept.Text);
        digest.Observe(other switch
        {
            "reasoning" => new ReasoningDelta("Hm"),
            "tool" => new ToolCallStarted(0, "call_1", "look_up"),
            _ => new TextDelta("Hi") { Choice = 1 },
        });
        Assert.Null(kept.Text);
    }
}
