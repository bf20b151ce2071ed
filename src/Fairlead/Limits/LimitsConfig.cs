using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;

namespace Fairlead.Limits;

/// <summary>Settings of limits.</summary>
internal sealed record LimitsConfig
{
    internal static readonly LimitsConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<LimitsConfig> Keys = new(() => new LimitsConfig(), [],
        new ConfigKey<LimitsConfig>("onStoreFailure", new ConfigChoice(Local, Reject),
            l => l.OnStoreFailure == StoreFailurePolicy.Reject ? Reject : Local,
            (l, v) => l with { OnStoreFailure = (string)v == Reject ? StoreFailurePolicy.Reject : StoreFailurePolicy.Local },
            "What happens to calls with rates while Redis is unavailable: `local` gives each node its share of the limits, by the nodes "
            + "that were alive; `reject` refuses the calls."),
        new ConfigKey<LimitsConfig>("defaults", LimitSetConfig.Keys, l => l.Defaults, (l, v) => l with { Defaults = (LimitSet)v },
            "Limits of every key: each of them is the value of the keys that do not set this limit themselves."),
        new("writeOffAfter", new ConfigDuration(TimeSpan.FromSeconds(30), TimeSpan.FromHours(24)), l => l.WriteOffAfter,
            (l, v) => l with { WriteOffAfter = (TimeSpan)v },
            "Time without a sign of life after which what a server has leased of budgets counts as used, until it is back."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("limits", Keys, c => c.Limits,
        "Limits of keys.");

    private const string Local = "local";

    private const string Reject = "reject";

    /// <summary>What happens while rates cannot be counted for all nodes together.</summary>
    public StoreFailurePolicy OnStoreFailure { get; init; }

    /// <summary>For each limit, the value of every key that sets none of its own; <see cref="LimitDefaults"/> applies them.</summary>
    public LimitSet Defaults { get; init; } = LimitSet.None;

    /// <summary>
    /// Time without a sign of life after which the leases of a process count as used. 30 s to 24 h: a process shows one every 2 s, and must
    /// survive a short outage of the database. Default 10 minutes.
    /// </summary>
    public TimeSpan WriteOffAfter { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>What happens to calls with rates or concurrency limits while the store that counts them is unavailable.</summary>
internal enum StoreFailurePolicy
{
    /// <summary>Each node has its share of the limits, by the number of nodes last known alive.</summary>
    Local,

    /// <summary>The calls are refused.</summary>
    Reject,
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
