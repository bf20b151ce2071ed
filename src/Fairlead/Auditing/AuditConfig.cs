using Fairlead.Auditing.Exports;
using Fairlead.Configuration;

namespace Fairlead.Auditing;

/// <summary>The record of every call.</summary>
internal sealed record AuditConfig
{
    // In the order of the enumeration.
    private static readonly string[] DurabilityNames = ["spool", "fsync", "database"];

    internal static readonly AuditConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<AuditConfig> Keys = new(() => new AuditConfig(), ["content"],
        new("durability", new ConfigChoice(DurabilityNames), a => DurabilityNames[(int)a.Durability],
            (a, v) => a with { Durability = (AuditDurability)Array.IndexOf(DurabilityNames, (string)v) },
            "What a record must survive before the last byte of the response is sent: a crash of the process (spool), of the machine "
            + "(fsync), or the loss of the machine (database, if that is elsewhere).") { NeedsRestart = true },
        new("export", AuditExportConfig.Keys, a => a.Export, (a, v) => a with { Export = (AuditExportConfig)v },
            "Files of audit records that are written on a schedule."),
        new("keyFile", ConfigTypes.Text, a => a.KeyFile, (a, v) => a with { KeyFile = (string)v },
            "File with the key that signs checkpoints of the audit chain, in the format PEM. Created if it does not exist. Nodes of one "
            + "database can share it. Default: audit-key.pem in the data directory.") { NeedsRestart = true },
        new("retention", new ConfigDuration(TimeSpan.FromDays(1), TimeSpan.FromDays(36500)) { Unbounded = true }, a => a.Retention,
            (a, v) => a with { Retention = (TimeSpan)v == TimeSpan.MaxValue ? null : (TimeSpan)v },
            "How long records are stored."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("audit", Keys, c => c.Audit,
        "The record of every call.");

    public AuditDurability Durability { get; init; }

    /// <summary>Files that are written on a schedule. Default none.</summary>
    public AuditExportConfig Export { get; init; } = new();

    /// <summary>File of the key that signs; null for <c>audit-key.pem</c> in the data directory.</summary>
    public string? KeyFile { get; init; }

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
