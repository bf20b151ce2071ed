using System.Text;
using CsCheck;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Limits;
using Fairlead.Tests.Access;

namespace Fairlead.Tests.Limits;

/// <summary><c>limits.defaults</c> and <c>models.&lt;name&gt;.limits</c>, from every source.</summary>
public sealed class LimitsConfigTests
{
    private static readonly LimitSet Expected = new()
    {
        RequestsPerMinute = 1000, InputTokensPerMinute = 2, OutputTokensPerMinute = 3, ConcurrentGenerations = 4, TokensPerDay = 0, TokensPerMonth = 6,
        PicoUsdPerDay = 500_000_000_000, PicoUsdPerMonth = 0, InputTokensPerRequest = 9, OutputTokensPerRequest = 10, Burst = 1.5m,
        Elastic = new ElasticRange(0.5m, 3),
        Classes = new Dictionary<string, LimitSet> { ["bulk"] = new() { RequestsPerMinute = 7, Elastic = ElasticRange.Default } },
    };

    private const string Camel = """
        { requestsPerMinute: 1_000, inputTokensPerMinute: 2, outputTokensPerMinute: 3, concurrentGenerations: 4, tokensPerDay: 0, tokensPerMonth: 6, usdPerDay: 0.5,
          usdPerMonth: 0, inputTokensPerRequest: 9, outputTokensPerRequest: 10, burst: 1.5, elastic: { min: 0.5, max: 3 }, classes: { bulk: { requestsPerMinute: 7, elastic: true } } }
        """;

    private const string Snake = """
        { "requests_per_minute": 1e3, "input_tokens_per_minute": 2, "output_tokens_per_minute": 3, "concurrent_generations": 4, "tokens_per_day": 0, "tokens_per_month": 6,
          "usd_per_day": 0.5, "usd_per_month": 0, "input_tokens_per_request": 9, "output_tokens_per_request": 10, "burst": 1.5, "elastic": { "min": 0.5, "max": 3 },
          "classes": { "bulk": { "requests_per_minute": 7, "elastic": true } } }
        """;

    [Theory]
    [InlineData("", 600)]
    [InlineData("writeOffAfter: 30s", 30)]
    [InlineData("writeOffAfter: 24h", 86_400)]
    public void Read_WriteOffAfter_HasADefault(string text, int seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), Good($"fairlead: {{ limits: {{ {text} }} }}", "fairlead.yaml").Limits.WriteOffAfter);

    [Theory]
    [InlineData("29s")]
    [InlineData("25h")]
    public void Read_WriteOffAfterOutOfRange_IsRefused(string value) =>
        Assert.Equal("Out of range.", Assert.Single(Read($"fairlead: {{ limits: {{ writeOffAfter: {value} }} }}", "fairlead.yaml").Errors).Problem);

    [Theory]
    [InlineData("fairlead.yaml", Camel)]
    [InlineData("fairlead.yaml", Snake)]
    [InlineData("fairlead.json", Snake)]
    public void Read_AllLimits_FillBothPlaces(string file, string limits)
    {
        var configuration = Good($$"""{ "fairlead": { "limits": { "defaults": {{limits}} }, "models": { "m": { "limits": {{limits}} } } } }""", file);
        Assert.True(LimitSets.Same(Expected, configuration.Limits.Defaults));
        Assert.True(LimitSets.Same(Expected, configuration.Models["m"].Limits));
    }

    [Fact]
    public void Read_AnyLimitsOfTheAdminApi_AreTheSame() => LimitSets.Any.Sample(limits =>
    {
        var configuration = Good("{\"fairlead\":{\"limits\":{\"defaults\":" + (LimitSetJson.Text(limits) ?? "{}") + "}}}", "fairlead.json");
        return LimitSets.Same(limits, configuration.Limits.Defaults);
    }, iter: 200);

    [Fact]
    public void Read_NothingConfigured_HasNoLimits()
    {
        var configuration = Good("fairlead: { models: { sim-fast: } }");
        Assert.Same(LimitSet.None, configuration.Limits.Defaults);
        Assert.Same(LimitSet.None, configuration.Models["sim-fast"].Limits);
    }

    [Fact]
    public void Read_Environment_OverlaysTheFileUnderEitherName()
    {
        var configuration = Good("fairlead: { limits: { defaults: { requests_per_minute: 5, tokensPerDay: 5, elastic: true } } }", "fairlead.yaml",
            ("Fairlead__Limits__Defaults__RequestsPerMinute", "6"), ("Fairlead__Limits__Defaults__tokens_per_day", "7"),
            ("FAIRLEAD__LIMITS__DEFAULTS__USDPERDAY", "0.25"), ("Fairlead__Limits__Defaults__Elastic__Max", "4"),
            ("Fairlead__Limits__Defaults__Classes__bulk__Burst", "3"));
        Assert.True(LimitSets.Same(configuration.Limits.Defaults, new LimitSet
        {
            RequestsPerMinute = 6, TokensPerDay = 7, PicoUsdPerDay = 250_000_000_000, Elastic = new ElasticRange(0.25m, 4),
            Classes = new Dictionary<string, LimitSet> { ["bulk"] = new() { Burst = 3 } },
        }));
    }

    [Theory]
    [InlineData("requestsPerMinute: 0", "requestsPerMinute", "0", "Out of range")]
    [InlineData("requestsPerMinute: 1.5", "requestsPerMinute", "1.5", "Not a whole number")]
    [InlineData("requestsPerMinute: NaN", "requestsPerMinute", "NaN", "Not a number")]
    [InlineData("requestsPerMinute: -1", "requestsPerMinute", "-1", "Out of range")]
    [InlineData("requestsPerMinute:", "requestsPerMinute", null, "no value")]
    [InlineData("requests_per_minute: many", "requests_per_minute", "many", "Not a number")]
    [InlineData("requests_per_minute: 1, requestsPerMinute: 2", "requests_per_minute", null, "another name")]
    [InlineData("requestPerMinute: 1", "requestPerMinute", null, "not known")]
    [InlineData("usdPerDay: 9000001", "usdPerDay", "9000001", "Out of range")]
    [InlineData("usdPerDay: 0.0000000000001", "usdPerDay", "0.0000000000001", "More than 12 decimals")]
    [InlineData("burst: 61", "burst", "61", "Out of range")]
    [InlineData("elastic: maybe", "elastic", "maybe", "Not true, false or a section")]
    [InlineData("elastic: { min: 0 }", "elastic.min", "0", "Out of range")]
    [InlineData("elastic: [ 1 ]", "elastic", null, "Keys are expected")]
    [InlineData("classes: { gold: {} }", "classes.gold", null, "class is not known")]
    [InlineData("classes: { bulk: { burst: 0 } }", "classes.bulk.burst", "0", "Out of range")]
    [InlineData("classes: { bulk: { classes: {} } }", "classes.bulk.classes", null, "not known")]
    public void Read_OneError_ReportsKeyValueAndProblem(string limits, string key, string? value, string problem)
    {
        foreach (var (yaml, path) in ((string, string)[])[($"fairlead: {{ limits: {{ defaults: {{ {limits} }} }} }}", "fairlead.limits.defaults"), ($"fairlead: {{ models: {{ m: {{ limits: {{ {limits} }} }} }} }}", "fairlead.models.m.limits")])
        {
            var fault = Assert.Single(Read(yaml, "fairlead.yaml").Errors);
            Assert.Equal(($"{path}.{key}", value), (fault.Key, fault.Value));
            Assert.Contains(problem, fault.Problem, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("fairlead: { limits: {} }", StoreFailurePolicy.Local)]
    [InlineData("fairlead: { limits: { onStoreFailure: local } }", StoreFailurePolicy.Local)]
    [InlineData("fairlead: { limits: { onStoreFailure: reject } }", StoreFailurePolicy.Reject)]
    public void Read_StoreFailurePolicy_IsTheOneNamed(string yaml, object policy) => Assert.Equal(policy, Good(yaml).Limits.OnStoreFailure);

    [Fact]
    public void Read_UnknownStoreFailurePolicy_ReturnsError() =>
        Assert.Equal("fairlead.limits.onStoreFailure", Assert.Single(Read("fairlead: { limits: { onStoreFailure: ignore } }", "fairlead.yaml").Errors).Key);

    [Theory]
    [InlineData("elastic: false")]
    [InlineData("elastic:")]
    [InlineData("classes:")]
    public void Read_SwitchedOff_HasNoLimits(string limits) =>
        Assert.True(LimitSets.Same(LimitSet.None, Good($"fairlead: {{ limits: {{ defaults: {{ {limits} }} }} }}").Limits.Defaults));

    private static GatewayConfiguration Good(string text, string file = "fairlead.yaml", params (string Name, string Value)[] environment)
    {
        var result = Read(text, file, environment);
        Assert.Empty(result.Errors);
        return result.Configuration!;
    }

    private static ConfigurationResult Read(string text, string file, params (string Name, string Value)[] environment) =>
        ConfigurationReader.Read(
            new ConfigurationInput { Environment = environment.ToDictionary(e => e.Name, e => e.Value) }, ConfigurationSections.BuiltIn, file, Encoding.UTF8.GetBytes(text));
}
