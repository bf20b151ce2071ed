using System.Net;
using Fairlead.Configuration;

namespace Fairlead.Http;

/// <summary>How clients reach the server: through which proxies, and from which pages.</summary>
internal sealed record ServerConfig
{
    internal static readonly ServerConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<ServerConfig> Keys = new(() => new ServerConfig(), [],
        new("trustedProxies", new ConfigListType<IPNetwork>(new ConfigNetwork()), s => s.TrustedProxies,
            (s, v) => s with { TrustedProxies = (IReadOnlyList<IPNetwork>)v },
            "Addresses or networks of the proxies in front of the server. Only their `X-Forwarded-For`, `X-Forwarded-Proto` and "
            + "`X-Forwarded-Host` are trusted; those of all others are ignored."),
        new("corsOrigins", new ConfigListType<string>(new ConfigOriginName()), s => s.CorsOrigins,
            (s, v) => s with { CorsOrigins = (IReadOnlyList<string>)v },
            "Origins whose pages may call the API from a browser; `\"*\"` for all."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("server", Keys, c => c.Server,
        "How clients reach the server.");

    /// <summary>Proxies whose <c>X-Forwarded-For</c>, <c>-Proto</c> and <c>-Host</c> are trusted. Default none.</summary>
    public IReadOnlyList<IPNetwork> TrustedProxies { get; init; } = [];

    /// <summary>Origins whose pages may call the API from a browser; <c>*</c> for all. Default none.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init; } = [];
}

/// <summary>The section in the whole configuration.</summary>
internal static class ServerConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>How clients reach the server.</summary>
        public ServerConfig Server => configuration.Section<ServerConfig>() ?? ServerConfig.Default;
    }
}
