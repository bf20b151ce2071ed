using System.Net;
using Fairlead.Configuration;

namespace Fairlead.Policies;

/// <summary>Content policies of the installation.</summary>
internal sealed record ContentPolicyConfig
{
    // First: the default below has it.
    private static readonly IReadOnlyDictionary<string, PolicyConfig> None = new Dictionary<string, PolicyConfig>();

    internal static readonly ContentPolicyConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<ContentPolicyConfig> Keys = new(() => new ContentPolicyConfig(), [],
        new("policies", new ConfigMapType<PolicyConfig>(PolicyConfig.Keys, "policy"), c => c.Policies,
            (c, v) => c with { Policies = (IReadOnlyDictionary<string, PolicyConfig>)v },
            "Policies by name. The admin API shows them, and does not change them."),
        new("allowedNetworks", new ConfigListType<IPNetwork>(new ConfigNetwork()), c => c.AllowedNetworks,
            (c, v) => c with { AllowedNetworks = (IReadOnlyList<IPNetwork>)v },
            "Non-public networks of moderation endpoints, on any port. Best list only networks that contain nothing else."),
        new("allowHttp", ConfigTypes.Switch, c => c.AllowHttp, (c, v) => c with { AllowHttp = (bool)v },
            "Whether texts may be sent to moderation endpoints without TLS."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key(
        "contentPolicy", Keys, c => c.ContentPolicy, "What may pass in requests and responses.");

    /// <summary>Policies by name. Default none.</summary>
    public IReadOnlyDictionary<string, PolicyConfig> Policies { get; init; } = None;

    /// <summary>Non-public networks of moderation endpoints. Default none.</summary>
    public IReadOnlyList<IPNetwork> AllowedNetworks { get; init; } = [];

    /// <summary>Whether texts may be sent to moderation endpoints without TLS. Default false.</summary>
    public bool AllowHttp { get; init; }
}

/// <summary>The section in the whole configuration.</summary>
internal static class ContentPolicyConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>What may pass in requests and responses.</summary>
        public ContentPolicyConfig ContentPolicy => configuration.Section<ContentPolicyConfig>() ?? ContentPolicyConfig.Default;
    }
}
