using System.Reflection;
using Fairlead.Providers.Quirks;
using Fairlead.Server.Documentation;

namespace Fairlead.FunctionalTests.Quirks;

/// <summary>The table of quirks is what the program does: the page is generated, and each row names a test that exists.</summary>
public sealed class QuirksPageTests
{
    private static IEnumerable<Quirk> All => [.. ResponseQuirks.All, .. RequestQuirks.All];

    [Fact]
    public void QuirksPage_InRepository_MatchesGeneratedPage()
    {
        using var reader = new StreamReader(typeof(Quirk).Assembly.GetManifestResourceStream("docs/quirks.md")!);
        Assert.Equal(QuirksPage.Write(), reader.ReadToEnd());
    }

    [Fact]
    public void Quirks_AllLists_HaveUniqueIds() => Assert.Equal(All.Count(), All.Select(q => q.Id).Distinct(StringComparer.Ordinal).Count());

    [Fact]
    public void Quirks_AllLists_ReferenceExistingTests()
    {
        var tests = typeof(QuirksPageTests).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Instance)
                .Where(method => method.GetCustomAttributes().Any(a => a is FactAttribute))
                .Select(method => $"{type.Name}.{method.Name}"))
            .ToHashSet(StringComparer.Ordinal);
        Assert.All(All, quirk => Assert.Contains(quirk.Test, tests));
    }
}
