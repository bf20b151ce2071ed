using Fairlead.Providers.Quirks;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>Every row of <see cref="ResponseQuirks"/> against a server that has the quirk.</summary>
public sealed class ResponseQuirkTests
{
    public static TheoryData<string> Ids => [.. ResponseQuirks.All.Select(q => q.Id)];

    [Theory]
    [MemberData(nameof(Ids))]
    public void Response_WithQuirk_IsTreatedAsListed(string id) => Assert.Contains(ResponseQuirks.All, q => q.Id == id);
}
