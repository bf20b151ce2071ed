using Fairlead.Configuration;

namespace Fairlead.Auditing.Exports;

/// <summary>Files of audit records that are written on a schedule.</summary>
internal sealed record AuditExportConfig
{
    internal static readonly ConfigObjectType<AuditExportConfig> Keys = new(() => new AuditExportConfig(), [],
        new("directory", ConfigTypes.Text, e => e.Directory, (e, v) => e with { Directory = (string)v },
            "Directory that receives the files, absolute or in the data directory. Created if it does not exist. No files without it."),
        new("interval", new ConfigDuration(TimeSpan.FromMinutes(1), TimeSpan.FromDays(366)), e => e.Interval,
            (e, v) => e with { Interval = (TimeSpan)v },
            "How often a file is written: at the multiples of this time since 1970 (UTC), so 1d means every midnight."),
        new("format", new ConfigChoice(ExportFormats.Names), e => e.Format.ToWire(),
            (e, v) => e with { Format = ExportFormats.Parse((string)v) }, "Format of the files."));

    /// <summary>Where the files are; null for no files.</summary>
    public string? Directory { get; init; }

    /// <summary>Time between two files, 1 minute to 366 days.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromDays(1);

    public ExportFormat Format { get; init; }
}
