using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>Whether a catalogue can be built from a configuration.</summary>
internal sealed class CatalogueConfigurationCheck(CatalogueBuilder catalogue) : IConfigurationCheck
{
    public IEnumerable<ConfigurationFault> Check(GatewayConfiguration configuration) =>
        catalogue.Check(configuration).Select(fault => new ConfigurationFault("fairlead." + fault.Key, fault.Value, fault.Remedy, ""));
}
