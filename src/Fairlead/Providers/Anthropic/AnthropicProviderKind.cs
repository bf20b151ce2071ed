using Fairlead.Providers.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Providers.Anthropic;

/// <summary>The kind <c>anthropic</c>: Anthropic's Messages API, at Anthropic or at a server that implements it.</summary>
internal static class AnthropicProviderKind
{
    public const string DefaultBaseUrl = "https://api.anthropic.com";

    public const string KeyHeader = "x-api-key";

    private const string Name = "anthropic";

    public static readonly ProviderVendor Vendor = new("anthropic.com")
    {
        TelemetryName = Name,
        ModelOwner = Name,
        ProviderNames = [Name, "claude"],
    };

    public static readonly ProviderKind Instance = new(Name, Create)
    {
        DefaultBaseUrl = DefaultBaseUrl,
        CredentialHeader = KeyHeader,
        ModelOwner = Name,
        ChargesCacheWrites = true,
        Vendors = [Vendor],
        EnvironmentProviders = [new(Name) { KeyVariables = ["ANTHROPIC_API_KEY"], BaseUrl = DefaultBaseUrl }],
    };

    private static AnthropicProvider Create(string name, ProviderConfig config, IServiceProvider services) =>
        new(name, config, services.GetRequiredService<UpstreamClientFactory>().Create(name, config));
}
