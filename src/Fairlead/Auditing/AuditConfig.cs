using Fairlead.Configuration;

namespace Fairlead.Auditing;

/// <summary>The record of every call.</summary>
internal sealed record AuditConfig
{
    internal static readonly AuditConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<AuditConfig> Keys = new(() => new AuditConfig(), ["content"],
        new("durability", new ConfigChoice("spool", "fsync"), a => a.Durability == AuditDurability.Fsync ? "fsync" : "spool",
            (a, v) => a with { Durability = (string)v == "fsync" ? AuditDurability.Fsync : AuditDurability.Spool },
            "What a record must survive before the last byte of the response is sent: a crash of the process (spool) or of the machine "
            + "(fsync).") { NeedsRestart = true },
        new("retention", new ConfigDuration(TimeSpan.FromDays(1), TimeSpan.FromDays(36500)) { Unbounded = true }, a => a.Retention,
            (a, v) => a with { Retention = (TimeSpan)v == TimeSpan.MaxValue ? null : (TimeSpan)v },
            "How long records are stored."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("audit", Keys, c => c.Audit,
        "The record of every call.");

    public AuditDurability Durability { get; init; }

    /// <summary>How long records are stored; null to store them forever. Default 90 days.</summary>
    public TimeSpan? Retention { get; init; } = TimeSpan.FromDays(90);
}

/// <summary>The section in the whole configuration.</summary>
internal static class AuditConfigSection
{
    extension(GatewayConfiguration configuration)
    {
        /// <summary>The record of every call.</summary>
        public AuditConfig Audit => configuration.Section<AuditConfig>() ?? AuditConfig.Default;
    }
}
