using Fairlead.Catalogue;
using Fairlead.Providers.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Providers.OpenAi;

/// <summary>A kind with OpenAI's API, and what its servers accept. Immutable.</summary>
/// <param name="Name">Value of <c>kind</c> in the configuration.</param>
internal sealed record OpenAiProviderKind(string Name) : ProviderKind(Name, CreateProvider)
{
    public const string AzureKeyHeader = "api-key";

    public const string BearerHeader = "Authorization";

    /// <summary>
    /// Whether it is used for servers of every vendor, so that a provider's name can identify the vendor when the address does not.
    /// </summary>
    public bool ServesAnyVendor { get; init; }

    /// <summary>Whether it is Azure at every address.</summary>
    public bool IsAzure { get; init; }

    /// <summary>Whether it has <c>/responses</c>.</summary>
    public bool HasResponses { get; init; }

    /// <summary>Whether it accepts <c>top_k</c>.</summary>
    public bool TakesTopK { get; init; }

    /// <summary>As <see cref="OpenAiVendor.TakesReasoningBack"/>, at every address.</summary>
    public bool TakesReasoningBack { get; init; }

    /// <summary>Path that is added to an address without one; null for none.</summary>
    public string? DefaultPath { get; init; }

    /// <summary>Whether Azure serves this address, by the kind or by the host.</summary>
    /// <exception cref="ArgumentException">The base URL is not an absolute http or https address.</exception>
    public bool IsAzureAt(string baseUrl) => IsAzure || OpenAiVendors.Azure.Owns(UpstreamClientFactory.Address(baseUrl, "").Host);

    public override string CredentialHeaderOf(ProviderConfig config) =>
        AddressOf(config) is { } address && IsAzureAt(address) ? AzureKeyHeader : BearerHeader;

    public override bool TakesApiVersion(ProviderConfig config) => AddressOf(config) is not { } address || IsAzureAt(address);

    public override string? ModelOwnerOf(string name, ProviderConfig config, ProviderKinds kinds)
    {
        if (ModelOwner is null || config.BaseUrl is null) return ModelOwner;
        if (!Uri.TryCreate(config.BaseUrl, UriKind.Absolute, out var address)) return null;
        return kinds.VendorAt(address.Host)?.ModelOwner ?? (ServesAnyVendor ? kinds.VendorNamed(name)?.ModelOwner : null);
    }

    public override IEnumerable<CatalogueError> Check(ProviderConfig config)
    {
        if (AddressOf(config) is not null) yield break;
        yield return new("baseUrl", null, IsAzure
            ? "Add the address of your resource, such as https://name.openai.azure.com."
            : "Add the server's address up to and including its version segment, such as http://host:8000/v1.");
    }

    private static OpenAiProvider CreateProvider(string name, ProviderConfig config, IServiceProvider services) =>
        new(name, config, services.GetRequiredService<UpstreamClientFactory>(), services.GetRequiredService<ProviderKinds>());
}
