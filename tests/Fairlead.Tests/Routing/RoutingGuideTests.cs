using System.Text;
using System.Text.RegularExpressions;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Tests.Common;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Tests.Routing;

/// <summary>The configuration in the guide is valid as it is.</summary>
public sealed partial class RoutingGuideTests
{
    [Fact]
    public void Guide_Configuration_IsValid()
    {
        var guide = File.ReadAllText(Repository.PathOf("docs", "routing.md"));
        var yaml = Yaml().Match(guide).Groups[1].Value;
        var input = new ConfigurationInput
        {
            Environment = new Dictionary<string, string> { ["OPENAI_API_KEY"] = "k", ["AZURE_API_KEY"] = "k" },
        };
        var result = ConfigurationReader.Read(input, ConfigurationSections.BuiltIn, "fairlead.yaml", Encoding.UTF8.GetBytes(yaml));
        Assert.Empty(result.Errors);
        using var services = new ServiceCollection().BuildServiceProvider();
        Assert.Empty(new CatalogueBuilder(ProviderKinds.BuiltIn, [], services).Check(result.Configuration!));
        Assert.Equal(SelectionStrategy.Session, result.Configuration!.Models["chat"].Strategy);
    }

    [Theory]
    [InlineData("up", "/health?deep=1", false)]
    [InlineData("up", "health", true)]
    [InlineData("up", "//other.example/health", true)]
    [InlineData("up", "/a b", true)]
    [InlineData("sim", "/health", true)]
    public void ProbePath_NotAtTheProvider_IsAnError(string provider, string path, bool isError)
    {
        var yaml = $$"""
            fairlead:
              providers: { up: { kind: openai, baseUrl: "http://127.0.0.1:1/v1" }, sim: { kind: simulated } }
              models:
                m: { contextWindow: 1000, prices: { input: 1, output: 1 }, capabilities: { tools: false },
                     deployments: [{ provider: {{provider}}, model: sim-fast, probe: { path: "{{path}}" } }] }
            """;
        var read = ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.yaml", Encoding.UTF8.GetBytes(yaml));
        Assert.Empty(read.Errors);
        using var services = new ServiceCollection().BuildServiceProvider();
        var errors = new CatalogueBuilder(ProviderKinds.BuiltIn, [], services).Check(read.Configuration!);
        Assert.Equal(isError ? ["models.m.deployments[0].probe.path"] : [], errors.Select(error => error.Key));
    }

    [Theory]
    [InlineData("onOverflow: nobody", "No model has this name")]
    [InlineData("onOverflow: small", "larger window")]
    public void OnOverflow_NotALargerModel_IsAnError(string key, string problem)
    {
        const string Facts = "prices: { input: 1, output: 1 }, capabilities: { tools: false }, deployments: [{ provider: up, model: m }]";
        var yaml = $$"""
            fairlead:
              providers: { up: { kind: openai, baseUrl: "http://127.0.0.1:1/v1" } }
              models:
                small: { contextWindow: 1000, {{Facts}} }
                chat: { contextWindow: 2000, {{key}}, {{Facts}} }
            """;
        var result = ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.yaml", Encoding.UTF8.GetBytes(yaml));
        Assert.Empty(result.Errors);
        using var services = new ServiceCollection().BuildServiceProvider();
        var error = Assert.Single(new CatalogueBuilder(ProviderKinds.BuiltIn, [], services).Check(result.Configuration!));
        Assert.Equal("models.chat.onOverflow", error.Key);
        Assert.Contains(problem, error.Remedy, StringComparison.Ordinal);
    }

    [GeneratedRegex("```yaml\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Yaml();
}
