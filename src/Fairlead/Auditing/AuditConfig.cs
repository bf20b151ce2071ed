using Fairlead.Access;
using Fairlead.Auditing.Exports;
using Fairlead.Configuration;

namespace Fairlead.Auditing;

/// <summary>The record of every call.</summary>
internal sealed record AuditConfig
{
    // In the order of the enumeration.
    private static readonly string[] DurabilityNames = ["spool", "fsync", "database"];

    private const int MinContentBytes = 1024;

    private const int LargestContentBytes = 192 * 1024;

    internal static readonly AuditConfig Default = new();

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<AuditConfig> Keys = new(() => new AuditConfig(), [],
        new("content", new ConfigChoice([.. AuditContents.Names]), a => AuditContents.Names[(int)a.Content],
            (a, v) => a with { Content = AuditContents.Find((string)v)!.Value },
            "How much of requests and responses is recorded with audit records: nothing (none), their hashes (hash), their text without personal "
            + "data, secrets and what content policies redact (redacted), or their text (full). The stricter of this and the `audit_content` of "
            + "organization, project and key counts."),
        new("contentRetention", new ConfigDuration(TimeSpan.FromDays(1), TimeSpan.FromDays(36500)) { Unbounded = true },
            a => a.ContentRetention, (a, v) => a with { ContentRetention = (TimeSpan)v == TimeSpan.MaxValue ? null : (TimeSpan)v },
            "How long recorded content is stored, at most as long as its record. Default: as long as its record."),
        new("durability", new ConfigChoice(DurabilityNames), a => DurabilityNames[(int)a.Durability],
            (a, v) => a with { Durability = (AuditDurability)Array.IndexOf(DurabilityNames, (string)v) },
            "What a record must survive before the last byte of the response is sent: a crash of the process (spool), of the machine "
            + "(fsync), or the loss of the machine (database, if that is elsewhere).") { NeedsRestart = true },
        new("encryptContent", ConfigTypes.Switch, a => a.EncryptContent, (a, v) => a with { EncryptContent = (bool)v },
            "Whether recorded content is encrypted in the database, with the key ring that encrypts the secrets of stored providers "
            + "(`storedProviders.keyFolder`)."),
        new("export", AuditExportConfig.Keys, a => a.Export, (a, v) => a with { Export = (AuditExportConfig)v },
            "Files of audit records that are written on a schedule."),
        new("keyFile", ConfigTypes.Text, a => a.KeyFile, (a, v) => a with { KeyFile = (string)v },
            "File with the key that signs checkpoints of the audit chain, in the format PEM. Created if it does not exist. Nodes of one "
            + "database can share it. Default: audit-key.pem in the data directory.") { NeedsRestart = true },
        new("maxContentBytes", new ConfigInteger(MinContentBytes, LargestContentBytes), a => a.MaxContentBytes,
            (a, v) => a with { MaxContentBytes = (int)(long)v }, "Maximum bytes of recorded content of one call. More is left out."),
        new("retention", new ConfigDuration(TimeSpan.FromDays(1), TimeSpan.FromDays(36500)) { Unbounded = true }, a => a.Retention,
            (a, v) => a with { Retention = (TimeSpan)v == TimeSpan.MaxValue ? null : (TimeSpan)v },
            "How long records are stored."));

    /// <summary>Its place in the configuration file.</summary>
    internal static readonly ConfigKey<GatewayConfiguration> Section = GatewayConfiguration.Key("audit", Keys, c => c.Audit,
        "The record of every call.");

    /// <summary>How much content is recorded; organizations, projects and keys can only have less. Default nothing.</summary>
    public AuditContent Content { get; init; }

    /// <summary>How long content is stored; null for as long as its record. Default null.</summary>
    public TimeSpan? ContentRetention { get; init; }

    /// <summary>Whether content is encrypted in the database. Default false.</summary>
    public bool EncryptContent { get; init; }

    /// <summary>
    /// Maximum bytes of content of one call, 1 KiB to 192 KiB: a record of the spool has at most 256 KiB. Default 64 KiB: some ten thousand
    /// words.
    /// </summary>
    public int MaxContentBytes { get; init; } = 64 * 1024;

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
