using Fairlead.Caching;

namespace Fairlead.Tests.Caching;

public sealed class CacheDirectivesTests
{
    [Theory]
    [InlineData(null, false, false, false, null)]
    [InlineData("", false, false, false, null)]
    [InlineData("no-store", true, false, false, null)]
    [InlineData("No-Cache", false, true, false, null)]
    [InlineData(" only-if-cached , max-age=60", false, false, true, 60d)]
    [InlineData("max-age=\"5\"", false, false, false, 5d)]
    [InlineData("max-age = 5", false, false, false, 5d)]
    [InlineData("max-age=60,max-age=5", false, false, false, 5d)]
    [InlineData("max-age", false, false, false, 0d)]
    [InlineData("max-age=-1", false, false, false, 0d)]
    [InlineData("max-age=1.5", false, false, false, 0d)]
    [InlineData("no-transform, max-stale=10, x-no-store, no-stored", false, false, false, null)]
    [InlineData(",,no-store,,", true, false, false, null)]
    public void Parse_Header_ReadsDirectives(string? header, bool noStore, bool noCache, bool onlyIfCached, double? seconds)
    {
        var directives = CacheDirectives.Parse(header);
        Assert.Equal((noStore, noCache, onlyIfCached), (directives.NoStore, directives.NoCache, directives.OnlyIfCached));
        Assert.Equal(seconds, directives.MaxAge?.TotalSeconds);
    }

    [Fact]
    public void Parse_HugeAge_AcceptsEverything() =>
        Assert.Equal(TimeSpan.MaxValue, CacheDirectives.Parse("max-age=99999999999999999999").MaxAge);
}
