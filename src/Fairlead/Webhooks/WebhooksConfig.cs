using System.Net;
using Fairlead.Configuration;

namespace Fairlead.Webhooks;

/// <summary>Which receivers of webhooks are allowed.</summary>
internal sealed record WebhooksConfig
{
    internal static readonly WebhooksConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<WebhooksConfig> Keys = new(() => new WebhooksConfig(), [],
        new("allowedNetworks", new ConfigListType<IPNetwork>(new ConfigNetwork()), w => w.AllowedNetworks,
            (w, v) => w with { AllowedNetworks = (IReadOnlyList<IPNetwork>)v },
            "Non-public networks of allowed receivers, on any port. Best list only networks that contain nothing else."),
        new("allowHttp", ConfigTypes.Switch, w => w.AllowHttp, (w, v) => w with { AllowHttp = (bool)v },
            "Whether webhooks may be sent without TLS."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("webhooks", Keys, c => c.Webhooks,
        "Webhooks to the callers' servers.");

    /// <summary>Non-public networks of allowed receivers. Default none.</summary>
    public IReadOnlyList<IPNetwork> AllowedNetworks { get; init; } = [];

    /// <summary>Whether webhooks may be sent without TLS. Default false.</summary>
    public bool AllowHttp { get; init; }
}

/// <summary>The section in the whole configuration.</summary>
internal static class WebhooksConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Webhooks to the callers' servers.</summary>
        public WebhooksConfig Webhooks => configuration.Section<WebhooksConfig>() ?? WebhooksConfig.Default;
    }
}
