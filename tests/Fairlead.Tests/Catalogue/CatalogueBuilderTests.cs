using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Providers.Simulated;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Catalogue;

public sealed class CatalogueBuilderTests
{
    private static readonly ProviderConfig OpenAi = new() { Kind = "openai", ApiKey = "secret" };
    private static readonly ProviderConfig Anthropic = new() { Kind = "anthropic", ApiKey = "secret" };
    private static readonly ProviderConfig Simulated = new() { Kind = "simulated" };

    private readonly FakeProviders _providers = new();

    [Fact]
    public void Build_OnlyOpenAiKey_OffersBuiltInOpenAiModels()
    {
        var catalogue = Build(new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi))));
        var model = catalogue.Find("gpt-4o-mini")!;
        Assert.Equal(128_000, model.ContextWindow);
        Assert.Equal(0.15m, model.Prices.At(default).Input);
        Assert.Equal("openai/gpt-4o-mini", Assert.Single(model.Deployments).Name);
        Assert.Equal("openai", model.Deployments[0].Provider.Name);
        Assert.NotNull(catalogue.Find("text-embedding-3-small"));
        Assert.Null(catalogue.Find("claude-opus-5-5"));
        Assert.Null(catalogue.Find("sim-fast"));
        Assert.Equal(catalogue.Models.OrderBy(m => m.Id, StringComparer.Ordinal), catalogue.Models);
    }

    [Theory]
    [InlineData("local", "openai", "http://10.0.0.5:8000/v1", null)]
    [InlineData("openai", "openai", "http://10.0.0.5:8000/v1", "gpt-4o")]
    [InlineData("x", "openai", "https://api.mistral.ai/v1", "mistral-embed")]
    [InlineData("x", "openai", "https://api.deepseek.com", "deepseek-v4-flash")]
    [InlineData("openai", "openai", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "qwen3-max")]
    [InlineData("x", "openai", "https://notapi.openai.com.example/v1", null)]
    [InlineData("x", "gemini", null, "gemini-2.5-flash")]
    [InlineData("x", "azure", "https://me.openai.azure.com", null)]
    [InlineData("x", "simulated", null, "sim-embed")]
    public void Build_AnyProvider_OffersModelsOfItsVendor(string name, string kind, string? baseUrl, string? offered)
    {
        var catalogue = Build(new GatewayConfiguration().WithProviders(Providers((name, new ProviderConfig { Kind = kind, BaseUrl = baseUrl }))));
        if (offered is null) Assert.Empty(catalogue.Models);
        else Assert.Equal(name, Assert.Single(catalogue.Find(offered)!.Deployments).ProviderName);
    }

    /// <summary>A setting that a call would reject or ignore is reported when the configuration is read.</summary>
    [Theory]
    [InlineData("azure", null, null, "providers.p.baseUrl")]
    [InlineData("openai-compatible", null, null, "providers.p.baseUrl")]
    [InlineData("openai", null, "2024-10-21", "providers.p.apiVersion")]
    [InlineData("vllm", "http://host:8000/v1", "2024-10-21", "providers.p.apiVersion")]
    [InlineData("anthropic", null, "2023-06-01", "providers.p.apiVersion")]
    [InlineData("gemini", null, "v1", "providers.p.apiVersion")]
    [InlineData("azure", "https://me.openai.azure.com", "2024-10-21", null)]
    [InlineData("openai", "https://me.openai.azure.com/openai/v1", "2024-10-21", null)]
    [InlineData("vllm", null, null, null)]
    public void Check_UnusableProvider_ReturnsError(string kind, string? baseUrl, string? apiVersion, string? key)
    {
        var config = new GatewayConfiguration().WithProviders(Providers(("p", new ProviderConfig { Kind = kind, BaseUrl = baseUrl, ApiVersion = apiVersion })));
        var faults = new CatalogueBuilder(ProviderKinds.BuiltIn, [], null!).Check(config);
        if (key is null) Assert.Empty(faults);
        else Assert.Equal(key, Assert.Single(faults).Key);
    }

    [Theory]
    [InlineData("openai", "authorization", true)]
    [InlineData("azure", "API-Key", true)]
    [InlineData("anthropic", "X-Api-Key", true)]
    [InlineData("gemini", "x-goog-api-key", true)]
    [InlineData("anthropic", "Authorization", false)]
    [InlineData("openai", "X-Team", false)]
    public void Check_DuplicateCredential_ReturnsError(string kind, string header, bool isFault)
    {
        var stated = new ProviderConfig { Kind = kind, BaseUrl = "https://host.example/v1", Headers = new Dictionary<string, string> { [header] = "hidden-1" }, ApiKey = "hidden-2" };
        var faults = new CatalogueBuilder(ProviderKinds.BuiltIn, [], null!).Check(new GatewayConfiguration().WithProviders(Providers(("p", stated))));
        if (isFault) Assert.Equal($"providers.p.headers.{header}", Assert.Single(faults).Key);
        else Assert.Empty(faults);
        Assert.DoesNotContain(faults, fault => $"{fault}".Contains("hidden", StringComparison.Ordinal));
        Assert.Empty(new CatalogueBuilder(ProviderKinds.BuiltIn, [], null!).Check(new GatewayConfiguration().WithProviders(Providers(("p", stated with { ApiKey = null })))));
    }

    [Fact]
    public void Check_MaxTokensAboveContextWindow_ReturnsError()
    {
        var config = new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi))).WithModels(Models(("gpt-4o", new ModelConfig { ContextWindow = 100, MaxInputTokens = 100, MaxOutputTokens = 101 })));
        Assert.Equal("models.gpt-4o.maxOutputTokens", Assert.Single(new CatalogueBuilder(_providers.Kinds, [], null!).Check(config)).Key);
    }

    [Fact]
    public void Check_SimulationOnOtherProviderKind_ReturnsError()
    {
        var config = new GatewayConfiguration().WithProviders(Providers(("p", OpenAi with { Simulation = new SimulationConfig { Seed = 2 } })));
        Assert.Equal("providers.p.simulation", Assert.Single(new CatalogueBuilder(_providers.Kinds, [], null!).Check(config)).Key);
    }

    [Theory]
    [InlineData(1, null)]
    [InlineData(5, null)]
    [InlineData(6, "models.fast.deployments[0].timeouts.connect")]
    public void Check_DeploymentConnectTimeoutAboveProviders_ReturnsError(int seconds, string? key)
    {
        var config = new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi))).WithModels(Models(("fast", new ModelConfig { Deployments = [new DeploymentConfig { Provider = "openai", Model = "gpt-6-luna", Timeouts = new ProviderTimeouts { Connect = TimeSpan.FromSeconds(seconds) } }] })));
        var faults = new CatalogueBuilder(_providers.Kinds, [], null!).Check(config);
        if (key is null) Assert.Empty(faults);
        else Assert.Equal(key, Assert.Single(faults).Key);
    }

    [Fact]
    public void Build_ModelAcrossTwoVendors_UsesCommonFactsAndEachVendorsPrices()
    {
        var catalogue = Build(new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi), ("claude", Anthropic))).WithModels(Models(("fast", new ModelConfig
            {
                Deployments =
                [
                    new DeploymentConfig { Provider = "claude", Model = "claude-haiku-4-5", Priority = 2 },
                    new DeploymentConfig { Provider = "openai", Model = "gpt-6-luna", Weight = 3 },
                ],
                Aliases = ["quick"],
            }))));
        var fast = catalogue.Find("quick")!;
        Assert.Equal("fast", fast.Id);
        Assert.Equal(["openai/gpt-6-luna", "claude/claude-haiku-4-5"], fast.Deployments.Select(d => d.Name));
        Assert.Equal(200_000, fast.ContextWindow);
        Assert.Equal(64_000, fast.MaxOutputTokens);
        Assert.Equal(["image", "text"], fast.InputModalities.Order());
        Assert.False(fast.Capabilities.Prefill);
        Assert.False(fast.Capabilities.Sampling);
        Assert.True(fast.Capabilities.SamplingWithoutReasoning);
        Assert.Equal(0.10m, fast.Deployments[0].Prices.At(default).Input);
        Assert.Equal(1.0m, fast.Deployments[1].Prices.At(default).Input);
        Assert.Equal(1.0m, fast.Prices.At(default).Input);
        Assert.Equal(TokenizerFamily.Estimated, fast.Tokenizer);
        Assert.NotNull(catalogue.Find("gpt-6-luna"));
    }

    [Fact]
    public void Build_BuiltInModelListed_OverridesOnlyConfiguredFacts()
    {
        var catalogue = Build(new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi), ("second", OpenAi))).WithModels(Models(("gpt-4o", new ModelConfig { MaxOutputTokens = 1000, Prices = [new PricesConfig { Input = 9, Output = 10 }], Capabilities = new CapabilitiesConfig { Tools = false } }))));
        var model = catalogue.Find("gpt-4o")!;
        Assert.Equal(128_000, model.ContextWindow);
        Assert.Equal(1000, model.MaxOutputTokens);
        Assert.False(model.Capabilities.Tools);
        Assert.True(model.Capabilities.JsonSchema);
        Assert.Equal(9, model.Deployments[0].Prices.At(default).Input);
        // Provider "second" has no base URL, so it is OpenAI too.
        Assert.Equal(["openai/gpt-4o", "second/gpt-4o"], model.Deployments.Select(d => d.Name));
    }

    [Fact]
    public void Build_CustomModel_UsesConfiguredFacts()
    {
        var catalogue = Build(new GatewayConfiguration().WithProviders(Providers(("vllm", new ProviderConfig { Kind = "openai", BaseUrl = "http://10.0.0.5:8000/v1", Timeouts = new ProviderTimeouts { Connect = TimeSpan.FromSeconds(1) } }))).WithModels(Models(("mine", new ModelConfig
            {
                ContextWindow = 32_768,
                Prices = [new PricesConfig { Input = 0.1m, Output = 0.2m, Tiers = [new(20_000, 1, null, 2), new(10_000, 0.5m, null, 1)] }],
                Capabilities = new CapabilitiesConfig { Tools = true },
                Tokenizer = "llama3",
                Modalities = new ModalitiesConfig(["text", "image"], ["text"]),
                Deployments = [new DeploymentConfig { Provider = "vllm", Model = "org/mine" }],
            }))));
        var model = catalogue.Find("mine")!;
        Assert.Equal("vllm", model.OwnedBy);
        Assert.True(model.Capabilities.Tools);
        Assert.False(model.Capabilities.JsonSchema);
        Assert.True(model.Capabilities.Sampling);
        Assert.Equal([10_000, 20_000], model.Prices.At(default).Tiers.Select(t => t.AboveInputTokens));
        Assert.Equal("llama3", model.TokenizerName);
        Assert.Equal(TimeSpan.FromSeconds(1), model.Deployments[0].Timeouts.Connect);
    }

    [Fact]
    public void Build_AzureDeploymentWithCatalogueName_UsesCatalogueFacts()
    {
        var catalogue = Build(new GatewayConfiguration().WithProviders(Providers(("azure", new ProviderConfig { Kind = "azure", BaseUrl = "https://me.openai.azure.com" }))).WithModels(Models(("gpt-4o", new ModelConfig { Deployments = [new DeploymentConfig { Provider = "azure", Model = "team-4o" }] }))));
        Assert.Equal(2.5m, catalogue.Find("gpt-4o")!.Deployments[0].Prices.At(default).Input);
        Assert.Equal("team-4o", catalogue.Find("gpt-4o")!.Deployments[0].UpstreamModel);
    }

    [Fact]
    public void Build_RegisteredModel_IsListedAndUsableInOtherDeployments()
    {
        var source = new FakeModelSource(new RegisteredModel("rag", new ModelConfig { Deployments = [new DeploymentConfig { Provider = "rag" }] }, new FakeProvider("rag", "chat_client")));
        var builder = new CatalogueBuilder(_providers.Kinds, [source], null!);
        var config = new GatewayConfiguration().WithModels(Models(("assistant", new ModelConfig { Deployments = [new DeploymentConfig { Provider = "rag" }] })));
        Assert.Empty(builder.Check(config));
        var catalogue = builder.Build(config);
        Assert.Null(catalogue.Find("rag")!.ContextWindow);
        Assert.Same(source.Model.Provider, catalogue.Find("assistant")!.Deployments[0].Provider);
        Assert.Equal("rag", catalogue.Find("assistant")!.Deployments[0].UpstreamModel);

        var clash = builder.Check(new GatewayConfiguration().WithModels(Models(("rag", new ModelConfig { Deployments = [new DeploymentConfig { Provider = "rag" }] }))));
        Assert.Contains(clash, f => f.Key == "models.rag");
    }

    [Fact]
    public void Build_AliasEqualToBuiltInName_ResolvesToListedModel()
    {
        var catalogue = Build(new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi))).WithModels(Models(("gpt-6-luna", new ModelConfig { Aliases = ["gpt-4o-mini"] }))));
        Assert.Equal("gpt-6-luna", catalogue.Find("gpt-4o-mini")!.Id);
        Assert.DoesNotContain(catalogue.Models, m => m.Id == "gpt-4o-mini");
    }

    public static TheoryData<string, object> Faulty => new()
    {
        { "providers.x.kind", new GatewayConfiguration().WithProviders(Providers(("x", new() { Kind = "magic" }))) },
        { "providers.x.baseUrl", new GatewayConfiguration().WithProviders(Providers(("x", new() { Kind = "azure" }))) },
        { "models.m.deployments", With("m", new()) },
        { "models.gpt-4o.deployments", new GatewayConfiguration().WithProviders(Providers(("claude", Anthropic))).WithModels(Models(("gpt-4o", new()))) },
        { "models.m.deployments[1].provider", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }, new() { Provider = "opeani", Model = "gpt-4o" }] }) },
        { "models.m.contextWindow", With("m", new() { Deployments = [new() { Provider = "openai", Model = "unheard-of" }], Prices = [new()], Capabilities = new() }) },
        { "models.m.prices", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }, new() { Provider = "openai", Model = "unheard-of" }], ContextWindow = 1, Capabilities = new() }) },
        { "models.m.capabilities", With("m", new() { Deployments = [new() { Provider = "openai", Model = "unheard-of" }], ContextWindow = 1, Prices = [new()] }) },
        { "models.m.deployments", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }, new() { Provider = "openai", Model = "text-embedding-3-small" }] }) },
        { "models.m.deployments", With("m", new() { Deployments = [new() { Provider = "openai", Model = "text-embedding-3-large" }, new() { Provider = "openai", Model = "text-embedding-3-small" }] }) },
        { "models.m.kind", With("m", new() { Kind = "embedding", Deployments = [new() { Provider = "openai", Model = "gpt-4o" }] }) },
        { "models.m.kind", With("m", new() { Kind = "image", Deployments = [new() { Provider = "openai", Model = "gpt-4o" }] }) },
        { "models.m.deployments[0].model", With("m", new() { Deployments = [new() { Provider = "sim", Model = "gpt-4o" }] }) },
        { "models.m.deployments[1]", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }, new() { Provider = "openai", Model = "gpt-4o" }] }) },
        { "models.m.deployments[0].weight", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o", Weight = 0 }] }) },
        { "models.m.deployments[0].priority", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o", Priority = 0 }] }) },
        { "models.m.deployments[0].maxConcurrency", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o", MaxConcurrency = 0 }] }) },
        { "models.m.prices.input", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], Prices = [new() { Input = -1 }] }) },
        { "models.m.prices.tiers[1].aboveInputTokens", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], Prices = [new() { Tiers = [new(5, 1, null, 1), new(5, 2, null, 2)] }] }) },
        { "models.m.prices[1].from", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], Prices = [new(), new()] }) },
        { "models.m.prices.batchFactor", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], Prices = [new() { BatchFactor = -1 }] }) },
        { "models.m.modalities.input[0]", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], Modalities = new(["smell"], []) }) },
        { "models.m.lifecycle.state", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], Lifecycle = new() { State = "old" } }) },
        { "models.m.contextWindow", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], ContextWindow = 0 }) },
        { "models.m.aliases[1]", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], Aliases = ["a", "a"] }) },
        { "models.m.aliases[0]", With("m", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }], Aliases = ["m"] }) },
        { "models.a b", With("a b", new() { Deployments = [new() { Provider = "openai", Model = "gpt-4o" }] }) },
    };

    [Theory]
    [MemberData(nameof(Faulty))]
    public void Check_InvalidConfiguration_NamesKeyAndRemedy(string key, object configuration)
    {
        var config = (GatewayConfiguration)configuration;
        var builder = new CatalogueBuilder(_providers.Kinds, [], null!);
        var faults = builder.Check(config);
        Assert.Contains(faults, f => f.Key == key && f.Remedy.Length > 3);
        Assert.Equal(0, _providers.Made);
        Assert.Contains(key, Assert.Throws<CatalogueException>(() => builder.Build(config)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_DuplicateAlias_ReturnsOneError()
    {
        var deployments = new[] { new DeploymentConfig { Provider = "openai", Model = "gpt-4o" } };
        var config = new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi))).WithModels(Models(("a", new() { Deployments = deployments, Aliases = ["x"] }), ("b", new() { Deployments = deployments, Aliases = ["x"] })));
        var fault = Assert.Single(new CatalogueBuilder(_providers.Kinds, [], null!).Check(config));
        Assert.Equal(("models.b.aliases[0]", "x"), (fault.Key, fault.Value));
    }

    [Fact]
    public void Reload_ProviderUnchanged_IsReusedAndInvalidChangeKeepsSnapshot()
    {
        var source = new FakeConfigurationSource(new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi with { ApiKeys = ["a"] }), ("claude", Anthropic))));
        using var catalogue = new ReloadingCatalogue(new CatalogueBuilder(_providers.Kinds, [], null!), source, NullLogger<ReloadingCatalogue>.Instance);
        var before = catalogue.Current;
        Assert.Equal(2, _providers.Made);

        // Equal in content, other in lists, as every reload makes them.
        source.Change(new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi with { ApiKeys = ["a"], Headers = new Dictionary<string, string>() }), ("claude", Anthropic with { ApiKey = "new" }))));
        Assert.NotSame(before, catalogue.Current);
        Assert.Equal(3, _providers.Made);
        Assert.Same(before.Find("gpt-4o")!.Deployments[0].Provider, catalogue.Current.Find("gpt-4o")!.Deployments[0].Provider);
        Assert.NotSame(before.Find("claude-opus-5")!.Deployments[0].Provider, catalogue.Current.Find("claude-opus-5")!.Deployments[0].Provider);

        var running = catalogue.Current;
        source.Change(new GatewayConfiguration().WithModels(Models(("broken", new()))));
        Assert.Same(running, catalogue.Current);
    }

    [Fact]
    public void Build_ConfiguredLimits_BelongToTheConfiguredNameOnly()
    {
        var limits = new LimitSet { RequestsPerMinute = 5 };
        var catalogue = Build(new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi))).WithModels(Models(
            ("gpt-4o", new ModelConfig { Limits = limits }),
            ("fast", new ModelConfig { Deployments = [new DeploymentConfig { Provider = "openai", Model = "gpt-4o" }] }))));
        Assert.Same(limits, catalogue.Find("gpt-4o")!.Limits);
        Assert.Same(LimitSet.None, catalogue.Find("fast")!.Limits);
        Assert.Same(LimitSet.None, catalogue.Find("gpt-4o-mini")!.Limits);
    }

    private CatalogueSnapshot Build(GatewayConfiguration config)
    {
        var builder = new CatalogueBuilder(_providers.Kinds, [], null!);
        Assert.Empty(builder.Check(config));
        return builder.Build(config);
    }

    private static GatewayConfiguration With(string name, ModelConfig model) =>
        new GatewayConfiguration().WithProviders(Providers(("openai", OpenAi), ("sim", Simulated))).WithModels(Models((name, model)));

    private static Dictionary<string, ProviderConfig> Providers(params (string, ProviderConfig)[] items) => items.ToDictionary(i => i.Item1, i => i.Item2);

    private static Dictionary<string, ModelConfig> Models(params (string, ModelConfig)[] items) => items.ToDictionary(i => i.Item1, i => i.Item2);
}
