using Fairlead.Configuration;
using Fairlead.Providers;

namespace Fairlead.Tests.Providers;

public sealed class HeaderRulesTests
{
    [Theory]
    [InlineData("X-Team", "blue", true)]
    [InlineData("X(Team)", "blue", false)]
    [InlineData("Content-Type", "text/plain", false)]
    [InlineData("X-Team", "blue\r\nX-Other: red", false)]
    [InlineData("X-Team", "bläu", false)]
    public void HeaderError_UnsendableHeader_IsReported(string name, string value, bool good) => Assert.Equal(good, HeaderRules.Error(name, value) is null);
}
