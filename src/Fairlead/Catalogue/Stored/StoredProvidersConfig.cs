using System.Net;
using Fairlead.Configuration;

namespace Fairlead.Catalogue.Stored;

/// <summary>What providers that were created over the admin API may be.</summary>
internal sealed record StoredProvidersConfig
{
    internal static readonly StoredProvidersConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<StoredProvidersConfig> Keys = new(() => new StoredProvidersConfig(), [],
        new("allowedNetworks", new ConfigListType<IPNetwork>(new ConfigNetwork()), s => s.AllowedNetworks,
            (s, v) => s with { AllowedNetworks = (IReadOnlyList<IPNetwork>)v },
            "Non-public networks in which such a provider may be, on any port. Others are refused, also when a name leads there."),
        new("allowHttp", ConfigTypes.Switch, s => s.AllowHttp, (s, v) => s with { AllowHttp = (bool)v },
            "Whether such a provider may be reached without TLS."),
        new("keyFolder", ConfigTypes.Text, s => s.KeyFolder, (s, v) => s with { KeyFolder = (string)v },
            "Folder of the key ring that encrypts the secrets, the same for all nodes. Default: the key ring is in the database, beside them.")
        {
            NeedsRestart = true,
        });

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("storedProviders", Keys,
        c => c.StoredProviders, "Providers that are created over the admin API.");

    /// <summary>Non-public networks in which they may be. Default none.</summary>
    public IReadOnlyList<IPNetwork> AllowedNetworks { get; init; } = [];

    /// <summary>Whether they may be reached without TLS. Default false.</summary>
    public bool AllowHttp { get; init; }

    /// <summary>Folder of the key ring; null for the database.</summary>
    public string? KeyFolder { get; init; }
}

/// <summary>The section in the whole configuration.</summary>
internal static class StoredProvidersConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>What providers that were created over the admin API may be.</summary>
        public StoredProvidersConfig StoredProviders => configuration.Section<StoredProvidersConfig>() ?? StoredProvidersConfig.Default;
    }
}
