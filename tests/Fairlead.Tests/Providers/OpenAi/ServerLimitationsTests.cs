using Fairlead.Providers.OpenAi;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Providers.OpenAi;

public class ServerLimitationsTests
{
    [Fact]
    public void Has_AddedLimitation_ReturnsTrueForOneHour()
    {
        var time = new FakeTimeProvider();
        var limitations = new ServerLimitations(time);
        Assert.False(limitations.Has("/responses"));
        limitations.Add("/responses");
        limitations.Add("stream_options", "a");
        time.Advance(TimeSpan.FromMinutes(59));
        Assert.True(limitations.Has("/responses"));
        Assert.True(limitations.Has("stream_options", "a"));
        Assert.False(limitations.Has("stream_options", "b"));
        time.Advance(TimeSpan.FromMinutes(2));
        Assert.False(limitations.Has("/responses"));
    }
}
