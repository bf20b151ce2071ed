using System.Net;
using Fairlead.Configuration;

namespace Fairlead.Webhooks;

/// <summary>Where webhooks may go.</summary>
public sealed record WebhooksConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<WebhooksConfig> Keys = new(() => new WebhooksConfig(), [],
        new("allowedNetworks", new ConfigListType<IPNetwork>(new ConfigNetwork()), w => w.AllowedNetworks,
            (w, v) => w with { AllowedNetworks = (IReadOnlyList<IPNetwork>)v },
            "Networks that are not public in which receivers may be, on any port; best only those that hold nothing else."),
        new("allowHttp", ConfigTypes.Switch, w => w.AllowHttp, (w, v) => w with { AllowHttp = (bool)v },
            "Whether receivers may be spoken to without TLS."));

    /// <summary>Networks that are not public in which receivers may be. Default none.</summary>
    public IReadOnlyList<IPNetwork> AllowedNetworks { get; init; } = [];

    /// <summary>Whether receivers may be spoken to without TLS. Default false.</summary>
    public bool AllowHttp { get; init; }
}
