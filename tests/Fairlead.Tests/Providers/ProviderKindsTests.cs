using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Providers.OpenAi;
using Fairlead.Telemetry;
using Fairlead.Tests.Catalogue;
using Fairlead.Tests.Common;
using Fairlead.Tests.Providers.OpenAi;

namespace Fairlead.Tests.Providers;

/// <summary>A kind is described in one place: its folder. Everything else follows from its registration.</summary>
public sealed partial class ProviderKindsTests
{
    /// <summary>Files outside the folders of the kinds that may hold the name of one, and why.</summary>
    private static readonly Dictionary<string, string> Exceptions = new(StringComparer.Ordinal)
    {
        ["TokenCounting/MediaTokens.cs"] = "names of tokenizers",
        ["TokenCounting/TextHeuristics.cs"] = "names of tokenizers",
        ["Http/AddressHint.cs"] = "first segments of mistyped request paths",
        ["Validation/CapabilityRules.cs"] = "an owner of built-in models, whatever provider serves them",
    };

    private static readonly ProviderVendor Vendor = new("api.invented.example") { TelemetryName = "invented.ai", ModelOwner = "qwen" };

    private static readonly ProviderKind Invented = new("invented", static (name, _, _) => new InventedProvider(name))
    {
        DefaultBaseUrl = "https://api.invented.example/v1",
        TelemetryName = "invented.ai",
        CredentialHeader = "x-invented-key",
        ModelOwner = "qwen",
        Vendors = [Vendor],
        EnvironmentProviders = [new("invented") { KeyVariables = ["INVENTED_API_KEY"] }],
    };

    private readonly ProviderKinds _kinds = new([.. BuiltInProviderKinds.All, Invented]);

    [Fact]
    public void Schema_CustomProviderKind_IsListed()
    {
        var schema = ConfigurationSchema.Build(ConfigurationSections.Of(_kinds));
        var words = Words(schema);
        Assert.Equal([.. Words(ConfigurationSchema.Build(ConfigurationSections.BuiltIn)), "invented"], words);

        static string[] Words(JsonObject schema) =>
        [
            .. schema["properties"]!["fairlead"]!["properties"]!["providers"]!["additionalProperties"]!["properties"]!["kind"]!["anyOf"]![0]!["enum"]!
                .AsArray().Select(word => word!.GetValue<string>()),
        ];
    }

    [Fact]
    public void Read_VariableOfCustomKind_EnablesItsProvider()
    {
        var result = Read("", ("INVENTED_API_KEY", "secret"));
        var provider = result.Configuration!.Providers["invented"];
        Assert.Equal(("invented", "secret", null), (provider.Kind, provider.ApiKey, provider.BaseUrl));
        Assert.DoesNotContain("invented", Read("").Configuration!.Providers.Keys);
    }

    [Fact]
    public void Read_CustomKindMisspelled_SuggestsIt()
    {
        var fault = Assert.Single(Read("fairlead: { providers: { p: { kind: invnted } } }").Errors);
        Assert.Contains("did you mean 'invented'", fault.Problem, StringComparison.Ordinal);
        Assert.Empty(Read("fairlead: { providers: { p: { kind: invented } } }").Errors);
    }

    [Fact]
    public void Catalogue_CustomProviderKind_OffersModelsUnderTelemetryName()
    {
        var config = Read("", ("INVENTED_API_KEY", "secret")).Configuration!;
        var builder = new CatalogueBuilder(_kinds, [], null!);
        var deployment = Assert.Single(Build(config.WithProviders(config.Providers
            .Where(p => p.Key == "invented").ToDictionary())).Find("qwen3-max")!.Deployments);
        Assert.Equal("invented/qwen3-max", deployment.Name);
        Assert.Contains(new KeyValuePair<string, object?>("gen_ai.provider.name", "invented.ai"),
            AttemptTags.Of(deployment, "chat", null).Plain);
        Assert.Contains("invented", Assert.Single(builder.Check(With("unknown"))).Remedy, StringComparison.Ordinal);
        Assert.Equal("providers.p.apiVersion", Assert.Single(builder.Check(With("invented", p => p with { ApiVersion = "1" }))).Key);
        Assert.Equal("providers.p.headers.X-Invented-Key", Assert.Single(builder.Check(With("invented", p => p with
        {
            ApiKey = "secret",
            Headers = new Dictionary<string, string> { ["X-Invented-Key"] = "other" },
        }))).Key);

        CatalogueSnapshot Build(GatewayConfiguration configuration)
        {
            Assert.Empty(builder.Check(configuration));
            return builder.Build(configuration);
        }

        static GatewayConfiguration With(string kind, Func<ProviderConfig, ProviderConfig>? change = null)
        {
            var provider = new ProviderConfig { Kind = kind };
            return new GatewayConfiguration().WithProviders(
                new Dictionary<string, ProviderConfig> { ["p"] = change?.Invoke(provider) ?? provider });
        }
    }

    [Fact]
    public void OpenAiProvider_HostOfCustomKind_HasItsTelemetryNameAndModels()
    {
        var config = new ProviderConfig { Kind = "openai", BaseUrl = "https://eu.api.invented.example/v1" };
        Assert.Equal("invented.ai", new OpenAiProvider("p", config, OpenAiUpstream.Clients(), _kinds).TelemetryName);
        Assert.Equal("openai-compatible", new OpenAiProvider("p", config, OpenAiUpstream.Clients()).TelemetryName);
        Assert.Equal("qwen", _kinds.ModelOwnerOf("p", config));
        Assert.Null(ProviderKinds.BuiltIn.ModelOwnerOf("p", config));
    }

    [Fact]
    public void Source_ProviderKindNames_AppearOnlyInTheirFolders()
    {
        var root = Repository.PathOf("src", "Fairlead");
        var words = BuiltInProviderKinds.All.SelectMany(kind => kind.Vendors.SelectMany(vendor => vendor.Hosts)
            .Concat(kind.EnvironmentProviders.SelectMany(provider => provider.Variables))
                .Append(kind.Name)).ToHashSet(StringComparer.Ordinal);
        var folders = BuiltInProviderKinds.All.Select(kind => kind.Create.Method.DeclaringType!.FullName!.Split('.', '+'))
            .Select(parts => Path.Combine("Providers", parts[2]) + Path.DirectorySeparatorChar).Distinct().ToArray();
        Assert.Equal(4, folders.Length);

        var found = new HashSet<string>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(root, "*.cs", SearchOption.AllDirectories))
        {
            var path = Path.GetRelativePath(root, file);
            if (folders.Any(folder => path.StartsWith(folder, StringComparison.Ordinal))) continue;
            if (Quoted().Matches(File.ReadAllText(file)).Any(match => words.Contains(match.Groups[1].Value)))
            {
                found.Add(path.Replace('\\', '/'));
            }
        }
        Assert.Equal(Exceptions.Keys.Order(StringComparer.Ordinal), found.Order(StringComparer.Ordinal));
    }

    private ConfigurationResult Read(string yaml, params (string Name, string Value)[] environment) => ConfigurationReader.Read(
        new ConfigurationInput { Environment = environment.ToDictionary(e => e.Name, e => e.Value) }, ConfigurationSections.Of(_kinds),
        "fairlead.yaml",
        Encoding.UTF8.GetBytes(yaml));

    // A single quoted word, or an address that starts with it.
    [GeneratedRegex("\"(?:https?://)?([A-Za-z0-9_.-]+)[\"/:]")]
    private static partial Regex Quoted();

    private sealed class InventedProvider(string name) : Provider(name, Invented)
    {
        public override bool Speaks(Fairlead.Dialects.Dialect dialect) => false;

        public override ValueTask<Fairlead.Pipeline.GatewayReply> SendAsync(Fairlead.Pipeline.GatewayCall call, Fairlead.Pipeline.Attempt attempt,
            CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
