using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>Whether a catalogue can be built from a configuration.</summary>
internal sealed class CatalogueConfigurationCheck(CatalogueBuilder catalogue) : IConfigurationCheck
{
    public IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration) =>
        catalogue.Check(configuration).Select(error => new ConfigurationError("fairlead." + error.Key, error.Value, error.Remedy, ""));
}
