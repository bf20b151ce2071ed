using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;

namespace Fairlead.Limits;

/// <summary>Settings of limits.</summary>
internal sealed record LimitsConfig
{
    internal static readonly LimitsConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<LimitsConfig> Keys = new(() => new LimitsConfig(), ["onStoreFailure"],
        new ConfigKey<LimitsConfig>("defaults", LimitSetConfig.Keys, l => l.Defaults, (l, v) => l with { Defaults = (LimitSet)v },
            "Limits of every key: each of them is the value of the keys that do not set this limit themselves."),
        new("writeOffAfter", new ConfigDuration(TimeSpan.FromSeconds(30), TimeSpan.FromHours(24)), l => l.WriteOffAfter,
            (l, v) => l with { WriteOffAfter = (TimeSpan)v },
            "Time without a sign of life after which what a server has leased of budgets counts as used, until it is back."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("limits", Keys, c => c.Limits,
        "Limits of keys.");

    /// <summary>For each limit, the value of every key that sets none of its own; <see cref="LimitDefaults"/> applies them.</summary>
    public LimitSet Defaults { get; init; } = LimitSet.None;

    /// <summary>
    /// Time without a sign of life after which the leases of a process count as used. 30 s to 24 h: a process shows one every 2 s, and must
    /// survive a short outage of the database. Default 10 minutes.
    /// </summary>
    public TimeSpan WriteOffAfter { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>The section in the whole configuration.</summary>
internal static class LimitsConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>Settings of limits.</summary>
        public LimitsConfig Limits => configuration.Section<LimitsConfig>() ?? LimitsConfig.Default;
    }
}
