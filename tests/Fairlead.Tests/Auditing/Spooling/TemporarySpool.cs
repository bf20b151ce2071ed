using Fairlead.Auditing;
using Fairlead.Auditing.Spooling;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Fairlead.Tests.Auditing.Spooling;

/// <summary>A separate spool folder, deleted when the test ends.</summary>
internal sealed class TemporarySpool : IDisposable
{
    private readonly List<Spool> _opened = [];

    public string Root { get; } = Path.Combine(Path.GetTempPath(), "fairlead-spool-" + Path.GetRandomFileName());

    public Spool Open(int segmentBytes = 64 * 1024, AuditDurability durability = default, TimeProvider? time = null,
        Action<SafeFileHandle>? flushToDisk = null)
    {
        var options = new SpoolOptions(Root)
        {
            SegmentBytes = segmentBytes,
            Durability = durability,
            FlushToDisk = flushToDisk ?? RandomAccess.FlushToDisk,
        };
        var spool = new Spool(options, time ?? TimeProvider.System, NullLogger<Spool>.Instance);
        _opened.Add(spool);
        return spool;
    }

    public static List<SpoolEntry> ReadAll(SpoolFolder folder) => [.. folder.Segments().SelectMany(number => SpoolFile.Read(folder.PathOf(number), number))];

    public void Dispose()
    {
        foreach (var spool in _opened) spool.Dispose();
        if (Directory.Exists(Root)) Directory.Delete(Root, recursive: true);
    }
}
