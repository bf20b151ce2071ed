using Fairlead.Configuration;
using Fairlead.Providers;

namespace Fairlead.Catalogue.Stored;

/// <summary>
/// The names of all stored providers, as this process last read them. A configuration that has one of them too is refused. It needs no
/// other service, so that the configuration can be checked with it. Thread-safe.
/// </summary>
internal sealed class StoredProviderNames : IConfigurationCheck
{
    private volatile IReadOnlyList<string> _all = [];

    /// <summary>Also those that are not enabled. Empty until the database was read.</summary>
    public IReadOnlyList<string> All
    {
        get => _all;
        set => _all = value;
    }

    public IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration) =>
        _all.Where(configuration.Providers.ContainsKey).Select(name => new ConfigurationError(
            "fairlead.providers." + name, null,
            "A provider of this name is stored in the database, which 'fairlead config check' does not read.",
            $"Choose another name here, or delete the stored provider with its keys: 'fairlead providers delete {name}', which needs no "
            + $"running server, or DELETE /admin/v1/providers/{name}."));
}
