using Fairlead.Access.Tokens;
using Fairlead.Configuration;

namespace Fairlead.Access;

/// <summary>How callers are recognised, besides by keys.</summary>
internal sealed record AuthenticationConfig
{
    internal static readonly AuthenticationConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<AuthenticationConfig> Keys = new(() => new AuthenticationConfig(), [],
        new("wrongKeysPerMinute", new ConfigInteger(0, 100_000), a => a.WrongKeysPerMinute,
            (a, v) => a with { WrongKeysPerMinute = (int)(long)v },
            "Wrong keys that an address (of IPv6: a /64) may send in a minute. After them, unknown keys from there get 429 for a minute. Known "
            + "keys keep working. 0 switches the protection off."),
        new("oidc", new ConfigMapType<IssuerConfig>(IssuerConfig.Keys, "issuer", IssuerConfig.NameError), a => a.Oidc,
            (a, v) => a with { Oidc = (IReadOnlyDictionary<string, IssuerConfig>)v },
            "Identity providers whose signed tokens are accepted instead of keys."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("authentication", Keys,
        c => c.Authentication, "How callers are recognised, besides by keys.");

    /// <summary>Wrong keys that an address may send in a minute; 0 for no limit. Default 20.</summary>
    public int WrongKeysPerMinute { get; init; } = 20;

    /// <summary>Identity providers by the names that the operator gave them.</summary>
    public IReadOnlyDictionary<string, IssuerConfig> Oidc { get; init; } = new Dictionary<string, IssuerConfig>();
}

/// <summary>The section in the whole configuration.</summary>
internal static class AuthenticationConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>How callers are recognised, besides by keys.</summary>
        public AuthenticationConfig Authentication => configuration.Section<AuthenticationConfig>() ?? AuthenticationConfig.Default;
    }
}
