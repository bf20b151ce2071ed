using Fairlead.Pipeline;
using Microsoft.Extensions.Primitives;

namespace Fairlead.Tests.Pipeline;

public sealed class PreferenceTests
{
    [Theory]
    [InlineData("respond-async", true, null)]
    [InlineData("Respond-Async, wait=10", true, 10)]
    [InlineData("wait=10,respond-async", true, 10)]
    [InlineData("wait=10, wait=20", false, 10)]
    [InlineData("respond-async; x=1, wait=\"5\"; y", true, 5)]
    [InlineData("return=representation, handling=strict", false, null)]
    [InlineData("foo=\"respond-async, wait=3\"", false, null)]
    [InlineData("wait=-1", false, null)]
    [InlineData("wait=1e3", false, null)]
    [InlineData("wait=99999999999", false, 600)]
    [InlineData("wait=99999999999999999999999999", false, 600)]
    [InlineData("wait=0, wait=20", false, 0)]
    [InlineData("wait=\u0661", false, null)]
    [InlineData("", false, null)]
    [InlineData(",,;=", false, null)]
    public void Of_PreferHeader_IsParsedPerRfc7240(string header, bool respondAsync, int? wait) =>
        Assert.Equal(new Preference(respondAsync, wait), Preference.Of(header));

    [Fact]
    public void Of_MultiplePreferHeaders_AreCombined() =>
        Assert.Equal(new Preference(true, 7), Preference.Of(new StringValues(["respond-async", "wait=7"])));
}
