using Fairlead.Configuration;

namespace Fairlead.Auditing;

/// <summary>The record of every call.</summary>
public sealed record AuditConfig
{
    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<AuditConfig> Keys = new(() => new AuditConfig(), ["content"],
        new("durability", new ConfigChoice("spool", "fsync"), a => a.Durability == AuditDurability.Fsync ? "fsync" : "spool",
            (a, v) => a with { Durability = (string)v == "fsync" ? AuditDurability.Fsync : AuditDurability.Spool },
            "What a record must survive before the last byte of the response is sent: a crash of the process (spool) or of the machine "
            + "(fsync).") { NeedsRestart = true },
        new("retention", new ConfigDuration(TimeSpan.FromDays(1), TimeSpan.FromDays(36500)) { Unbounded = true }, a => a.Retention,
            (a, v) => a with { Retention = (TimeSpan)v == TimeSpan.MaxValue ? null : (TimeSpan)v },
            "How long records are stored."));

    public AuditDurability Durability { get; init; }

    /// <summary>How long records are stored; null to store them forever. Default 90 days.</summary>
    public TimeSpan? Retention { get; init; } = TimeSpan.FromDays(90);
}
