namespace Fairlead.Auditing.Spooling;

/// <summary>One record with its own bytes, for readers that look at each once.</summary>
internal sealed record SpoolEntry(SpoolRecordType Type, long Sequence, byte[] Payload);

/// <summary>Reads segments from disk, a window at a time.</summary>
internal static class SpoolFile
{
    /// <summary>Large enough for any record.</summary>
    public const int WindowBytes = 1024 * 1024;

    /// <summary>All whole records of a segment in order, without partial or damaged ones. A missing file has none.</summary>
    /// <param name="path">The segment's file.</param>
    /// <param name="segment">The segment's number; the file may contain records of earlier ones.</param>
    public static IEnumerable<SpoolEntry> Read(string path, long segment)
    {
        if (!File.Exists(path)) yield break;
        var window = System.Buffers.ArrayPool<byte>.Shared.Rent(WindowBytes);
        try
        {
            using var file = Open(path);
            long offset = SpoolFormat.FileHeaderBytes;
            var stamp = SpoolFormat.StampOf(segment);
            var entries = new List<SpoolEntry>();
            while (true)
            {
                var count = Fill(file, offset, window.AsSpan(0, WindowBytes));
                var isEnd = count < WindowBytes;
                var at = 0;
                SpoolRead read;
                while ((read = SpoolFormat.Next(window.AsSpan(0, count), ref at, isEnd, stamp, out var record)) == SpoolRead.Found)
                    entries.Add(new SpoolEntry(record.Type, record.Sequence, record.Payload.ToArray()));
                foreach (var entry in entries) yield return entry;
                entries.Clear();
                if (read == SpoolRead.End) yield break;
                offset += at;
            }
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(window);
        }
    }

    /// <summary>The sequence number in a segment's header; 0 without one.</summary>
    public static long SequenceBefore(string path, long segment)
    {
        if (!File.Exists(path)) return 0;
        using var file = Open(path);
        Span<byte> header = stackalloc byte[SpoolFormat.FileHeaderBytes];
        return SpoolFormat.SequenceBefore(header[..Fill(file, 0, header)], segment);
    }

    /// <summary>Erases contents of a segment that no process appends to.</summary>
    /// <param name="path">The segment's file.</param>
    /// <param name="segment">The segment's number.</param>
    /// <param name="contents">Where they are.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public static void EraseContents(string path, long segment, IEnumerable<SpooledContent> contents)
    {
        if (!File.Exists(path)) return;
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        Span<byte> header = stackalloc byte[SpoolFormat.RecordHeaderBytes];
        foreach (var content in contents)
        {
            content.WriteHeader(header, SpoolFormat.StampOf(segment));
            RandomAccess.Write(file, header, content.Start);
            RandomAccess.Write(file, new byte[content.EraseBytes], content.EraseFrom);
        }
    }

    public static Microsoft.Win32.SafeHandles.SafeFileHandle Open(string path) =>
        File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

    /// <summary>Fills <paramref name="window"/> from <paramref name="offset"/> on; less only at the end of the file.</summary>
    public static int Fill(Microsoft.Win32.SafeHandles.SafeFileHandle file, long offset, Span<byte> window)
    {
        var count = 0;
        while (count < window.Length)
        {
            var read = RandomAccess.Read(file, window[count..], offset + count);
            if (read == 0) break;
            count += read;
        }
        return count;
    }
}
