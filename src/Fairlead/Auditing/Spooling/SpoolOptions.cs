using Fairlead.Configuration;
using Microsoft.Win32.SafeHandles;

namespace Fairlead.Auditing.Spooling;

/// <summary>Settings of a spool; fixed for the life of the process.</summary>
/// <param name="Root">Folder that contains one folder for each node.</param>
internal sealed record SpoolOptions(string Root)
{
    /// <summary>Bytes of a segment. Default 16 MiB: about ten thousand calls.</summary>
    public int SegmentBytes { get; init; } = 16 * 1024 * 1024;

    public AuditDurability Durability { get; init; }

    /// <summary>Flushes a file to the disk. Tests replace it to let a flush fail.</summary>
    public Action<SafeFileHandle> FlushToDisk { get; init; } = RandomAccess.FlushToDisk;

    /// <summary>
    /// Bytes of records of refused calls that may wait in memory while the disk is full. Default 1 MiB: about a thousand.
    /// </summary>
    public long MaxWaitingRefusedBytes { get; init; } = 1024 * 1024;

    /// <summary>Bytes of records of refused calls in segments that are not yet in the database. Default 64 MiB.</summary>
    public long MaxRefusedBytes { get; init; } = 64 * 1024 * 1024;

    public static SpoolOptions From(GatewayConfiguration configuration) =>
        new(Path.Combine(Path.GetFullPath(configuration.DataDirectory), "spool"))
    {
        Durability = configuration.Audit.Durability,
    };
}
