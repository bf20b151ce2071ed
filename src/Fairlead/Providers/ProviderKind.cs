using Fairlead.Catalogue;

namespace Fairlead.Providers;

/// <summary>
/// One kind of provider, described in its own folder: its name in the configuration, its vendors and their hosts, the environment variables
/// that enable it, its default address, and what it accepts. The configuration schema, the documentation, the catalogue and telemetry read
/// it from here. Immutable; thread-safe.
/// </summary>
/// <param name="Name">Value of <c>kind</c> in the configuration.</param>
/// <param name="Create">
/// Creates the provider of this name and configuration. Gets the services of the process. Called only if <see cref="Check"/> found no
/// errors.
/// </param>
internal record ProviderKind(string Name, Func<string, ProviderConfig, IServiceProvider, Provider> Create)
{
    /// <summary>
    /// Kinds with the same API share this name: two of them with one credential are the same provider configured twice.
    /// </summary>
    public string Interface { get; init; } = Name;

    /// <summary>Base address when the configuration has none; null when the configuration must have one.</summary>
    public string? DefaultBaseUrl { get; init; }

    /// <summary>Value of <c>gen_ai.provider.name</c>, by the semantic conventions of OpenTelemetry.</summary>
    public string TelemetryName { get; init; } = Name;

    /// <summary>Vendors that this kind knows by host.</summary>
    public IReadOnlyList<ProviderVendor> Vendors { get; init; } = [];

    /// <summary>Providers of this kind that environment variables enable.</summary>
    public IReadOnlyList<EnvironmentProvider> EnvironmentProviders { get; init; } = [];

    /// <summary>Owner of the built-in models that a provider of this kind offers without being listed; null when it offers none.</summary>
    public string? ModelOwner { get; init; }

    /// <summary>Whether it has the models of <see cref="ModelOwner"/> only, and no other kind has them.</summary>
    public bool HasOnlyItsOwnModels { get; init; }

    /// <summary>Whether it charges a premium for cache writes, even if no price of the model mentions one.</summary>
    public bool ChargesCacheWrites { get; init; }

    /// <summary>Maximum inputs of one embeddings request; null for as many as a client may send.</summary>
    public int? MaxEmbeddingInputs { get; init; }

    /// <summary>Whether the section <c>simulation</c> applies to it.</summary>
    public bool TakesSimulation { get; init; }

    /// <summary>Header that carries the API key; null when none does.</summary>
    public string? CredentialHeader { get; init; }

    /// <summary>The configured address, or the default one; null when there is neither.</summary>
    public string? AddressOf(ProviderConfig config) => (config.BaseUrl ?? DefaultBaseUrl)?.TrimEnd('/');

    /// <summary>Header that carries the API key of this provider; null when none does.</summary>
    public virtual string? CredentialHeaderOf(ProviderConfig config) => CredentialHeader;

    /// <summary>Owner of the built-in models that this provider offers without being listed; null when it offers none.</summary>
    /// <param name="name">The provider's name in the configuration.</param>
    /// <param name="config">The provider's configuration.</param>
    /// <param name="kinds">All kinds, for vendors of other kinds.</param>
    public virtual string? ModelOwnerOf(string name, ProviderConfig config, ProviderKinds kinds) => ModelOwner;

    /// <summary>Whether <c>apiVersion</c> applies to this provider.</summary>
    public virtual bool TakesApiVersion(ProviderConfig config) => false;

    /// <summary>Errors that would make the provider useless. Keys are relative to the provider's own, such as <c>baseUrl</c>.</summary>
    public virtual IEnumerable<CatalogueError> Check(ProviderConfig config) => [];
}
