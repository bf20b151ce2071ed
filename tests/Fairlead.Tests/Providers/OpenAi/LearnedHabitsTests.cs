using Fairlead.Providers.OpenAi;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Providers.OpenAi;

public class LearnedHabitsTests
{
    [Fact]
    public void Knows_WhatWasLearned_ForAnHour()
    {
        var time = new FakeTimeProvider();
        var learned = new LearnedHabits(time);
        Assert.False(learned.Knows("/responses"));
        learned.Learn("/responses");
        learned.Learn("stream_options", "a");
        time.Advance(TimeSpan.FromMinutes(59));
        Assert.True(learned.Knows("/responses"));
        Assert.True(learned.Knows("stream_options", "a"));
        Assert.False(learned.Knows("stream_options", "b"));
        time.Advance(TimeSpan.FromMinutes(2));
        Assert.False(learned.Knows("/responses"));
    }
}
