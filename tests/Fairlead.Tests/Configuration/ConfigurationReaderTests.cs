using System.Text;
using CsCheck;
using Fairlead.Auditing;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Routing;
using Fairlead.Telemetry;

namespace Fairlead.Tests.Configuration;

public sealed class ConfigurationReaderTests
{
    private static ConfigurationResult Read(string yaml, params (string Name, string Value)[] environment) =>
        ConfigurationReader.Read(
            new ConfigurationInput { Environment = environment.ToDictionary(e => e.Name, e => e.Value) },
            ConfigurationSections.BuiltIn,
            "/etc/fairlead.yaml",
            Encoding.UTF8.GetBytes(yaml));

    private static GatewayConfiguration Good(string yaml, params (string Name, string Value)[] environment)
    {
        var result = Read(yaml, environment);
        Assert.Empty(result.Errors);
        return result.Configuration!;
    }

    private static ConfigurationError Bad(string yaml, params (string Name, string Value)[] environment)
    {
        var result = Read(yaml, environment);
        Assert.Null(result.Configuration);
        return Assert.Single(result.Errors);
    }

    [Fact]
    public void Read_EmptyConfig_ReturnsDefaultsAndSimulatedProvider()
    {
        var configuration = Good("");
        Assert.Equal("./data", configuration.DataDirectory);
        var provider = Assert.Single(configuration.Providers);
        Assert.Equal("simulated", provider.Key);
        Assert.Equal("simulated", provider.Value.Kind);
        Assert.Equal(new RequestBounds(), configuration.Requests);
    }

    [Fact]
    public void Read_FullConfigFile_FillsEverySection()
    {
        var configuration = Good(Samples.Whole, ("KEY_ONE", "sk-one"));
        var openai = configuration.Providers["openai"];
        Assert.Equal("sk-one", openai.ApiKey);
        Assert.Equal("https://api.openai.com/v1", openai.BaseUrl);
        Assert.Equal("team", openai.Headers["X-Team"]);
        Assert.Equal(TimeSpan.FromSeconds(3), openai.Timeouts.Connect);
        Assert.Equal(TimeSpan.FromMinutes(10), openai.Timeouts.Total);
        var fast = configuration.Models["fast"];
        Assert.Equal(128_000, fast.ContextWindow);
        Assert.Equal(["text", "image"], fast.Modalities!.Input);
        Assert.True(fast.Capabilities!.Tools);
        Assert.Null(fast.Capabilities.Prefill);
        Assert.Equal(0.15m, fast.Prices![0].Input);
        Assert.Equal(272_000, fast.Prices[0].Tiers[0].AboveInputTokens);
        Assert.Equal(["quick"], fast.Aliases);
        Assert.Equal("deprecated", fast.Lifecycle!.State);
        Assert.Equal(new DateTimeOffset(2027, 3, 1, 0, 0, 0, TimeSpan.Zero), fast.Lifecycle.RetiresAt);
        Assert.Equal(2, fast.Deployments.Count);
        Assert.Equal(TimeSpan.FromSeconds(2), fast.Deployments[0].Timeouts!.FirstToken);
        Assert.Equal(TimeSpan.FromSeconds(3), fast.Deployments[0].Timeouts!.Connect);
        Assert.Equal(16 * 1024 * 1024, configuration.Requests.MaxBodyBytes);
        Assert.Equal(TimeSpan.FromSeconds(45), configuration.DrainTimeout);
        Assert.Equal(AuditDurability.Fsync, configuration.Audit.Durability);
        Assert.Null(configuration.Audit.Retention);
        Assert.Equal(4, configuration.Retry.MaxRetries);
        Assert.Equal("http://collector:4317", configuration.Telemetry.OtlpEndpoint);
    }

    [Theory]
    [InlineData("fairlead: { drainTimeout: 10 }", "fairlead.drainTimeout", "10", "unit is missing")]
    [InlineData("fairlead: { drainTimeout: 10x }", "fairlead.drainTimeout", "10x", "unit is not known")]
    [InlineData("fairlead: { drainTimeout: soon }", "fairlead.drainTimeout", "soon", "Not a duration")]
    [InlineData("fairlead: { drainTimeout: -1s }", "fairlead.drainTimeout", "-1s", "Not a duration")]
    [InlineData("fairlead: { drainTimeout: 9999999h }", "fairlead.drainTimeout", "9999999h", "Out of range")]
    [InlineData("fairlead: { drainTimeout: }", "fairlead.drainTimeout", null, "no value")]
    [InlineData("fairlead: { drainTimeout: [1s] }", "fairlead.drainTimeout", null, "single value")]
    [InlineData("fairlead: { requests: { maxBodyBytes: 32MiBi } }", "fairlead.requests.maxBodyBytes", "32MiBi", "Not a size")]
    [InlineData("fairlead: { requests: { maxBodyBytes: 99999999999999999999GiB } }", "fairlead.requests.maxBodyBytes", "99999999999999999999GiB", "Out of range")]
    [InlineData("fairlead: { requests: { maxDepth: many } }", "fairlead.requests.maxDepth", "many", "Not an integer")]
    [InlineData("fairlead: { requests: { maxDepth: 100000 } }", "fairlead.requests.maxDepth", "100000", "Out of range")]
    [InlineData("fairlead: { retry: 3 }", "fairlead.retry", null, "Keys are expected")]
    [InlineData("fairlead: { models: [a] }", "fairlead.models", null, "Entries by name")]
    [InlineData("fairlead: { models: { m: { aliases: a } } }", "fairlead.models.m.aliases", null, "list is expected")]
    [InlineData("fairlead: { models: { m: { prices: { input: 1 } } } }", "fairlead.models.m.prices.output", null, "required")]
    [InlineData("fairlead: { models: { m: { prices: { input: -1, output: 1 } } } }", "fairlead.models.m.prices.input", "-1", "Out of range")]
    [InlineData("fairlead: { models: { m: { lifecycle: { retiresAt: tomorrow } } } }", "fairlead.models.m.lifecycle.retiresAt", "tomorrow", "Not a date")]
    [InlineData("fairlead: { models: { m: { capabilities: { tools: maybe } } } }", "fairlead.models.m.capabilities.tools", "maybe", "Not true or false")]
    [InlineData("fairlead: { models: { m: { deployments: [ { model: x } ] } } }", "fairlead.models.m.deployments[0].provider", null, "required")]
    [InlineData("fairlead: { models: { m: { modalities: { input: [ text, smell ] } } } }", "fairlead.models.m.modalities.input[1]", "smell", "Unknown value")]
    [InlineData("fairlead: { providers: { p: { baseUrl: 'https://x.example' } } }", "fairlead.providers.p.kind", null, "required")]
    [InlineData("fairlead: { providers: { p: { kind: opnai } } }", "fairlead.providers.p.kind", "opnai", "did you mean 'openai'")]
    [InlineData("fairlead: { providers: { p: { kind: openai, baseUrl: ftp://x } } }", "fairlead.providers.p.baseUrl", "ftp://x", "Not an absolute")]
    [InlineData("fairlead: { providers: { p: { kind: openai, baseUrl: 'https://x/?a=b' } } }", "fairlead.providers.p.baseUrl", "https://x/?a=b", "query")]
    [InlineData("fairlead: { drainTimeout: 1s, drainTimeout: 2s }", "fairlead.drainTimeout", null, "twice")]
    [InlineData("fairlead: { providers: { p: &a { kind: openai } } }", "fairlead.providers.p", "&a", "Anchors")]
    [InlineData("fairlead: { dataDirectory: \"a\\0b\" }", "fairlead.dataDirectory", "a\0b", "control character")]
    [InlineData("fairlead: { dataDirectory: \"a\\nb\" }", "fairlead.dataDirectory", "a\nb", "control character")]
    [InlineData("- a\n- b", "(file)", null, "keys and values")]
    [InlineData("fairlead: { drainTimeout: 1s", "(file)", null, "not valid YAML")]
    [InlineData("fairlead: {}\n---\nfairlead: {}", "(file)", null, "more than one document")]
    public void Read_OneError_ReportsKeyValueAndProblem(string yaml, string key, string? value, string problem)
    {
        var fault = Bad(yaml);
        Assert.Equal(key, fault.Key);
        Assert.Equal(value, fault.Value);
        Assert.Contains(problem, fault.Problem, StringComparison.Ordinal);
        Assert.NotEmpty(fault.Remedy);
        Assert.Matches("[.?]$", fault.Problem);
    }

    [Fact]
    public void Read_MultipleErrors_ListsAllWithLines()
    {
        var result = Read("""
            fairlead:
              drainTimeout: soon
              providers:
                openai:
                  kind: openai
                  base_url: https://x.example
              requests:
                maxDepth: 1
            """);
        Assert.Equal([2, 6, 8], result.Errors.Select(f => f.Line!.Value));
        Assert.All(result.Errors, f => Assert.Equal("fairlead.yaml", f.Source));
        Assert.Equal("Did you mean 'baseUrl'?", result.Errors[1].Remedy);
    }

    [Theory]
    [InlineData("fairlead: { prompts: {} }", "fairlead.prompts")]
    public void Read_SettingOfLaterVersion_IsRefusedAsNotAvailable(string yaml, string key)
    {
        var fault = Bad(yaml);
        Assert.Equal(key, fault.Key);
        Assert.Contains("not available in this version", fault.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_UnknownTopLevelKey_ReportsWhereItBelongs()
    {
        var fault = Bad("providers: {}");
        Assert.Equal("providers", fault.Key);
        Assert.Contains("fairlead", fault.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_ErrorNearSecret_NeverContainsSecret()
    {
        var result = Read("""
            fairlead:
              providers:
                a: { kind: openai, apiKeey: sk-secret-1 }
                b: { kind: openai, apiKey: "sk-secret 2\n" }
                c: { kind: openai, baseUrl: "https://u:sk-secret-3@x.example/v1" }
                d: { kind: openai, baseUrl: "${LEAK}" }
                e: { kind: openai, headers: { X-Key: "sk-secret\n5" } }
            """, ("LEAK", "sk-secret-4"));
        Assert.Equal(5, result.Errors.Count);
        Assert.DoesNotContain("sk-secret", string.Concat(result.Errors), StringComparison.Ordinal);
        Assert.DoesNotContain("sk-secret", new ConfigurationException(result.Errors).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_VariableReferences_AreReplacedDefaultedAndEscaped()
    {
        var configuration = Good("""
            fairlead:
              dataDirectory: "${ROOT}/x/${SUB:-sub}"
              providers:
                p: { kind: openai, apiKey: "$${PLAIN}" }
            """, ("ROOT", "/srv"), ("SUB", ""));
        Assert.Equal("/srv/x/sub", configuration.DataDirectory);
        Assert.Equal("${PLAIN}", configuration.Providers["p"].ApiKey);
    }

    [Theory]
    [InlineData("${MISSING}", "MISSING is not set")]
    [InlineData("${OPEN", "not closed")]
    [InlineData("${BAD NAME}", "letters, digits")]
    [InlineData("${MISSING:-${OTHER}}", "another reference")]
    public void Read_BrokenVariableReference_ReturnsError(string value, string problem)
    {
        var fault = Bad($"fairlead: {{ dataDirectory: \"{value}\" }}");
        Assert.Equal("fairlead.dataDirectory", fault.Key);
        Assert.Contains(problem, fault.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_EnvironmentInAnyCase_OverridesFile()
    {
        var configuration = Good("""
            fairlead:
              drainTimeout: 1s
              dataDirectory: /file
              providers: { openai: { kind: openai, apiKey: sk-file } }
            """,
            ("Fairlead__DrainTimeout", "2s"), ("FAIRLEAD__PROVIDERS__OPENAI__APIKEY", "sk-environment"), ("FAIRLEAD_DATA", "/environment"),
            ("Fairlead__Models__fast__Aliases__1", "b"), ("Fairlead__Models__fast__Aliases__0", "a"), ("Fairlead__Models__fast__Deployments__0__Provider", "openai"));
        Assert.Equal(TimeSpan.FromSeconds(2), configuration.DrainTimeout);
        Assert.Equal("sk-environment", configuration.Providers["openai"].ApiKey);
        Assert.Equal("/environment", configuration.DataDirectory);
        Assert.Equal(["a", "b"], configuration.Models["fast"].Aliases);
        Assert.Equal("openai", configuration.Models["fast"].Deployments[0].Provider);
    }

    [Fact]
    public void Read_UnknownKeyInEnvironment_ReturnsErrorNamingVariable()
    {
        var fault = Bad("", ("Fairlead__DrainTimeot", "2s"));
        Assert.Equal("Fairlead__DrainTimeot", fault.Source);
        Assert.Equal("Did you mean 'drainTimeout'?", fault.Remedy);
    }

    [Fact]
    public void Read_ProviderEnvironmentVariables_EnableProviders()
    {
        var configuration = Good("",
            ("OPENAI_API_KEY", "k1"), ("ANTHROPIC_API_KEY", "k2"), ("GOOGLE_API_KEY", "k3"), ("GEMINI_API_KEY", "k4"), ("MISTRAL_API_KEY", "k5"),
            ("DEEPSEEK_API_KEY", "k6"), ("AZURE_OPENAI_API_KEY", "k7"), ("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com/"), ("OLLAMA_HOST", "0.0.0.0"));
        Assert.Equal(["anthropic", "azure", "deepseek", "gemini", "mistral", "ollama", "openai", "simulated"], configuration.Providers.Keys.Order());
        Assert.Equal("k4", configuration.Providers["gemini"].ApiKey);
        Assert.Equal("https://me.openai.azure.com", configuration.Providers["azure"].BaseUrl);
        Assert.Equal("http://127.0.0.1:11434/v1", configuration.Providers["ollama"].BaseUrl);
    }

    [Theory]
    [InlineData("claude: { kind: anthropic, apiKey: '${ANTHROPIC_API_KEY}' }", "ANTHROPIC_API_KEY", "claude simulated")]
    [InlineData("claude: { kind: anthropic, apiKeys: ['${ANTHROPIC_API_KEY:-none}'] }", "ANTHROPIC_API_KEY", "claude simulated")]
    [InlineData("fast: { kind: openai, baseUrl: 'https://api.groq.com/openai/v1', headers: { Authorization: 'Bearer ${GROQ_API_KEY}' } }", "GROQ_API_KEY", "fast simulated")]
    [InlineData("ours: { kind: mistral, apiKey: '${MISTRAL_API_KEY}' }", "MISTRAL_API_KEY", "ours simulated")]
    [InlineData("google: { kind: gemini, apiKey: '${GOOGLE_API_KEY}' }", "GOOGLE_API_KEY", "google simulated")]
    [InlineData("home: { kind: ollama, baseUrl: '${OLLAMA_HOST}' }", "OLLAMA_HOST", "home simulated")]
    [InlineData("off: { kind: anthropic, enabled: false, apiKey: '${ANTHROPIC_API_KEY}' }", "ANTHROPIC_API_KEY", "simulated")]
    // Another kind, another variable, or no reference: the variable has its usual effect.
    [InlineData("claude: { kind: openai, baseUrl: 'https://api.anthropic.com/v1', apiKey: '${ANTHROPIC_API_KEY}' }", "ANTHROPIC_API_KEY", "anthropic claude simulated")]
    [InlineData("claude: { kind: anthropic, apiKey: '${ANTHROPIC_API_KEY_2:-x}' }", "ANTHROPIC_API_KEY", "anthropic claude simulated")]
    [InlineData("claude: { kind: anthropic, apiKey: written }", "ANTHROPIC_API_KEY", "anthropic claude simulated")]
    public void Read_VariableUsedInFile_EnablesNoSecondProvider(string provider, string variable, string names)
    {
        var configuration = Good($"fairlead: {{ providers: {{ {provider} }} }}", (variable, "http://127.0.0.1:11434"));
        Assert.Equal(names, string.Join(' ', configuration.Providers.Keys.Order()));
    }

    [Fact]
    public void Read_VariableUsedInFile_StillEnablesProviderNamedByDeployment()
    {
        var configuration = Good("fairlead: { providers: { claude: { kind: anthropic, apiKey: '${ANTHROPIC_API_KEY}' } }, models: { m: { deployments: [{ provider: anthropic, model: x }] } } }", ("ANTHROPIC_API_KEY", "k"));
        Assert.Equal(["anthropic", "claude", "simulated"], configuration.Providers.Keys.Order());
    }

    [Fact]
    public void Read_InvalidJsonConfig_ReportsErrorLines()
    {
        var json = "{\n  \"fairlead\": {\n    \"drainTimeout\": \"soon\",\n    \"requests\": {\n      \"maxDepth\": 1\n    },\n    \"providers\": {\n      \"one\": {}\n    }\n  }\n}";
        var result = ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "/etc/fairlead.json", Encoding.UTF8.GetBytes(json));
        Assert.Equal([("fairlead.drainTimeout", 3), ("fairlead.requests.maxDepth", 5), ("fairlead.providers.one.kind", 8)], result.Errors.Select(f => (f.Key, f.Line!.Value)));
    }

    [Fact]
    public void Read_StoreOnly_IgnoresOtherSettings()
    {
        var input = new ConfigurationInput { StoreOnly = true, Environment = new Dictionary<string, string> { ["OPENAI_API_KEY"] = "k", ["Fairlead__Retry__Nonsense"] = "1" } };
        var result = ConfigurationReader.Read(input, ConfigurationSections.BuiltIn, "fairlead.yaml", "fairlead: { dataDirectory: ./here, providers: { a: { apiKey: '${UNSET}', nonsense: 1 } } }\nother: 1"u8.ToArray());
        Assert.Empty(result.Errors);
        Assert.Equal("./here", result.Configuration!.DataDirectory);
        Assert.Empty(result.Configuration.Providers);
    }

    [Fact]
    public void Read_ProviderWithOtherBaseUrl_DoesNotGetVendorApiKey()
    {
        var configuration = Good("fairlead: { providers: { openai: { kind: openai, baseUrl: https://other.example/v1 } } }", ("OPENAI_API_KEY", "sk-maker"));
        Assert.Null(configuration.Providers["openai"].ApiKey);
    }

    [Fact]
    public void Read_ProviderWithOnlyTimeoutsSet_KeepsVendorApiKey()
    {
        var configuration = Good("fairlead: { providers: { openai: { timeouts: { connect: 1s } } } }", ("OPENAI_API_KEY", "sk-maker"));
        Assert.Equal("sk-maker", configuration.Providers["openai"].ApiKey);
        Assert.Equal(TimeSpan.FromSeconds(1), configuration.Providers["openai"].Timeouts.Connect);
    }

    [Fact]
    public void Read_ProviderDisabled_IsRemoved()
    {
        var configuration = Good("fairlead: { providers: { simulated: { enabled: false } } }");
        Assert.Empty(configuration.Providers);
    }

    [Fact]
    public void Read_ErrorFromAdditionalCheck_HasLineNumber()
    {
        var input = new ConfigurationInput { Checks = [_ => [new("fairlead.models.m.deployments[0].provider", "p", "No such provider.", "Add it.")]] };
        var result = ConfigurationReader.Read(input, ConfigurationSections.BuiltIn, "fairlead.yaml", "fairlead:\n  models:\n    m:\n      deployments:\n        - { provider: p }"u8.ToArray());
        Assert.Equal(5, Assert.Single(result.Errors).Line);
    }

    [Fact]
    public void Read_JsonConfig_IsAccepted()
    {
        var input = new ConfigurationInput();
        var result = ConfigurationReader.Read(input, ConfigurationSections.BuiltIn, "fairlead.json", """{ "$schema": "x", "fairlead": { "drainTimeout": "7s", "retry": { "maxRetries": 0 } } }"""u8.ToArray());
        Assert.Empty(result.Errors);
        Assert.Equal(TimeSpan.FromSeconds(7), result.Configuration!.DrainTimeout);
        Assert.Equal(0, result.Configuration.Retry.MaxRetries);
        var broken = ConfigurationReader.Read(input, ConfigurationSections.BuiltIn, "fairlead.json", "{\n \"fairlead\": }"u8.ToArray());
        Assert.Equal(2, Assert.Single(broken.Errors).Line);
    }

    [Theory]
    [InlineData("""{ "fairlead": { "dataDirectory": "\ud800" } }""")]
    [InlineData("""{ "fairlead": { "\udc00": 1 } }""")]
    [InlineData("""{ "fairlead": { "models": { "m": { "aliases": ["\ud800x"] } } } }""")]
    public void Read_JsonWithLoneSurrogate_ReturnsError(string json)
    {
        var result = ConfigurationReader.Read(new ConfigurationInput(), ConfigurationSections.BuiltIn, "fairlead.json", System.Text.Encoding.UTF8.GetBytes(json));
        Assert.Contains("half of a surrogate pair", Assert.Single(result.Errors).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_ConfigFileMissing_ReturnsError()
    {
        var result = ConfigurationReader.Read(new ConfigurationInput { Path = "/nowhere/fairlead.yaml" }, ConfigurationSections.BuiltIn);
        Assert.Contains("does not exist", Assert.Single(result.Errors).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_AnyBytes_NeverThrows()
    {
        Check.Sample(Gen.Byte.Array[0, 200], bytes =>
        {
            var input = new ConfigurationInput();
            var result = ConfigurationReader.Read(input, ConfigurationSections.BuiltIn, "fairlead.yaml", bytes);
            return result.Configuration is not null || result.Errors.Count > 0;
        });
    }

    [Fact]
    public void Read_MangledFullConfig_NeverThrows()
    {
        var text = Samples.Whole;
        Check.Sample(Gen.Select(Gen.Int[0, text.Length - 1], Gen.Int[0, 20], Gen.String[Gen.Char["{}[]:-&*!|>'\"%@`#, \n\t"], 0, 5]), (at, cut, insert) =>
        {
            var mangled = text[..at] + insert + text[Math.Min(text.Length, at + cut)..];
            var result = Read(mangled, ("KEY_ONE", "k"));
            return result.Configuration is not null || result.Errors.Count > 0;
        });
    }
}
