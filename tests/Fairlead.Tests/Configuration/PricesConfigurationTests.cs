using System.Text;
using Fairlead.Catalogue;
using Fairlead.Configuration;

namespace Fairlead.Tests.Configuration;

/// <summary>Prices as one section and as a list of sections.</summary>
public sealed class PricesConfigurationTests
{
    [Fact]
    public void Read_SingleSection_IsListOfOne()
    {
        var prices = Assert.Single(Good("prices: { input: 1, output: 10, serviceTiers: { flex: 0.5, priority: 2 }, batchFactor: 0.4 }"));
        Assert.Null(prices.From);
        Assert.Equal((1m, 10m, 0.4m), (prices.Input, prices.Output, prices.BatchFactor));
        Assert.Equal([new("flex", 0.5m), new("priority", 2m)], prices.ServiceTiers);
    }

    [Fact]
    public void Read_List_KeepsOrderAndTimes()
    {
        var prices = Good("""
            prices:
                    - { input: 1, output: 10 }
                    - { from: 2027-01-01, input: 2, output: 20 }
                    - { from: "2027-02-01T01:00:00+01:00", input: 3, output: 30 }
            """);
        Assert.Equal([1m, 2m, 3m], prices.Select(entry => entry.Input));
        Assert.Equal([null, new DateTimeOffset(2027, 1, 1, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2027, 2, 1, 0, 0, 0, TimeSpan.Zero)], prices.Select(entry => entry.From));
    }

    [Fact]
    public void Read_EnvironmentOverSection_ReplacesItsKeys()
    {
        var prices = Assert.Single(Good("prices: { input: 1, output: 10 }", ("Fairlead__Models__m__Prices__CachedInput", "0.25"), ("fairlead__models__m__prices__OUTPUT", "11")));
        Assert.Equal((1m, 0.25m, 11m), (prices.Input, prices.CachedInput, prices.Output));
    }

    [Fact]
    public void Read_EnvironmentOverList_ReplacesByIndex()
    {
        var prices = Good("prices: [{ input: 1, output: 10 }, { from: 2027-01-01, input: 2, output: 20 }]", ("Fairlead__Models__m__Prices__1__Input", "5"));
        Assert.Equal([1m, 5m], prices.Select(entry => entry.Input));
    }

    [Fact]
    public void Read_EnvironmentAlone_MakesList()
    {
        var prices = Good("contextWindow: 5", ("Fairlead__Models__m__Prices__0__Input", "1"), ("Fairlead__Models__m__Prices__0__Output", "2"), ("Fairlead__Models__m__Prices__1__From", "2027-01-01"),
            ("Fairlead__Models__m__Prices__1__Input", "3"), ("Fairlead__Models__m__Prices__1__Output", "4"));
        Assert.Equal([(1m, 2m), (3m, 4m)], prices.Select(entry => (entry.Input, entry.Output)));
    }

    [Theory]
    [InlineData("prices: 3", "fairlead.models.m.prices")]
    [InlineData("prices: [3]", "fairlead.models.m.prices[0]")]
    [InlineData("prices: [{ input: 1 }]", "fairlead.models.m.prices[0].output")]
    [InlineData("prices: [{ input: 1, output: 2 }, { from: tomorrow, input: 1, output: 2 }]", "fairlead.models.m.prices[1].from")]
    [InlineData("prices: { input: 1, output: 2, serviceTiers: { flex: cheap } }", "fairlead.models.m.prices.serviceTiers.flex")]
    [InlineData("prices: { input: 1, output: 2, serviceTiers: [flex] }", "fairlead.models.m.prices.serviceTiers")]
    [InlineData("prices: { input: 1, output: 2, batchFactor: -1 }", "fairlead.models.m.prices.batchFactor")]
    [InlineData("prices: { input: 1, output: 2, since: 2027-01-01 }", "fairlead.models.m.prices.since")]
    public void Read_InvalidPrices_NamesKey(string model, string key)
    {
        var result = Read(model);
        Assert.Equal(key, Assert.Single(result.Errors).Key);
    }

    /// <summary>The example of the guide, as a reader copies it.</summary>
    [Fact]
    public void Guide_ExampleOfDatedPrices_IsReadAndBuilt()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Fairlead.slnx"))) folder = folder.Parent!;
        var guide = File.ReadAllText(Path.Combine(folder.FullName, "docs", "models.md")).ReplaceLineEndings("\n");
        var section = guide[guide.IndexOf("## Prices that change", StringComparison.Ordinal)..];
        var begin = section.IndexOf("```yaml\n", StringComparison.Ordinal) + "```yaml\n".Length;
        var yaml = section[begin..section.IndexOf("```", begin, StringComparison.Ordinal)];

        var result = ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "/etc/fairlead.yaml", Encoding.UTF8.GetBytes(yaml));
        Assert.Empty(result.Errors);
        var prices = result.Configuration!.Models["our-model"].Prices!;
        Assert.Empty(PricesConfigRules.Check("prices", prices));
        var list = ModelFacts.ToPriceList(prices);
        foreach (var (time, input) in new[] { ("2026-12-31T23:59:59Z", 1m), ("2027-01-01T00:00:00Z", 0.8m), ("2027-03-01T07:59:59Z", 0.8m), ("2027-03-01T08:00:00Z", 0.5m) })
            Assert.Equal(input, list.At(DateTimeOffset.Parse(time, System.Globalization.CultureInfo.InvariantCulture)).Input);
        Assert.Equal([new("flex", 0.5m), new("priority", 2m)], list.At(DateTimeOffset.MaxValue).ServiceTiers.All);
    }

    private static IReadOnlyList<PricesConfig> Good(string model, params (string Name, string Value)[] environment)
    {
        var result = Read(model, environment);
        Assert.Empty(result.Errors);
        return result.Configuration!.Models["m"].Prices!;
    }

    private static ConfigurationResult Read(string model, params (string Name, string Value)[] environment) => ConfigurationReader.Read(
        new ConfigurationInput { Environment = environment.ToDictionary(e => e.Name, e => e.Value) }, ConfigurationSections.BuiltIn, "/etc/fairlead.yaml",
        Encoding.UTF8.GetBytes($"fairlead:\n  models:\n    m:\n      {model}\n      aliases: [x]\n"));
}
