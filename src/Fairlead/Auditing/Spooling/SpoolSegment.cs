using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// One file of the spool, mapped into memory: bytes copied into it are in the operating system's cache and survive the process.
/// Every byte is written once at creation, so that a full disk is an error then and not a memory access violation later (and
/// later copies find their pages present: 0.5 µs per append against 1.3 µs for a file that is only reserved, 3 µs for a write call).
/// A file can be used for one segment after the other. Not thread-safe, except for <see cref="Flush"/>.
/// </summary>
internal sealed class SpoolSegment : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly Action<SafeFileHandle> _flushToDisk;
    private readonly Lock _flushing = new();
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewStream _view;
    private int _length = SpoolFormat.FileHeaderBytes;
    private uint _stamp;
    private bool _closed;
    private volatile bool _flushFailed;

    private SpoolSegment(string path, SafeFileHandle file, int capacity, Action<SafeFileHandle> flushToDisk)
    {
        _flushToDisk = flushToDisk;
        Path = path;
        Capacity = capacity;
        _file = file;
        _mapping = MemoryMappedFile.CreateFromFile(file, null, capacity, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None,
            leaveOpen: true);
        // A stream copies memory in one go; the accessor and the handle copy value by value.
        _view = _mapping.CreateViewStream(0, capacity);
    }

    public string Path { get; private set; }

    /// <summary>0 while it is a spare.</summary>
    public long Number { get; private set; }

    /// <summary>Whether the file of a spare still has the records of an earlier use.</summary>
    public bool HasOldRecords { get; private set; }

    public int Capacity { get; }

    /// <summary>Bytes in use; everything before is whole. Only changes under the spool's lock.</summary>
    public int Length => _length;

    /// <summary>
    /// Whether a flush of the file has failed; it stays so. The system may treat the pages as clean afterwards, so a later success would
    /// prove nothing: nothing more is written to the file, and it is not reused. Thread-safe.
    /// </summary>
    public bool FlushFailed => _flushFailed;

    /// <param name="path">The path of the new file.</param>
    /// <param name="capacity">Bytes of the file.</param>
    /// <param name="flushToDisk">Flushes a file to the disk; <see cref="RandomAccess.FlushToDisk"/> if null.</param>
    /// <exception cref="IOException">The disk is full or cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public static SpoolSegment Create(string path, int capacity, Action<SafeFileHandle>? flushToDisk = null)
    {
        // A spare that a killed process left may be too short.
        File.Delete(path);
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete,
            FileOptions.None, capacity);
        try
        {
            Fill(file, capacity);
            return new SpoolSegment(path, file, capacity, flushToDisk ?? RandomAccess.FlushToDisk);
        }
        catch
        {
            file.Dispose();
            File.Delete(path);
            throw;
        }
    }

    /// <summary>Assigns its number, and renames the file.</summary>
    /// <param name="path">The new path of the file.</param>
    /// <param name="number">The number of the segment.</param>
    /// <param name="sequence">Sequence number reached so far, stored in the header so that it survives earlier segments.</param>
    public void TakeIntoUse(string path, long number, long sequence)
    {
        Span<byte> header = stackalloc byte[SpoolFormat.FileHeaderBytes];
        header.Clear();
        // Before the file gets its name: a process killed in between leaves a spare, which the next one deletes.
        SpoolFormat.WriteFileHeader(header, number, sequence);
        WriteAt(0, header);
        File.Move(Path, path);
        Path = path;
        Number = number;
        _stamp = SpoolFormat.StampOf(number);
        _length = SpoolFormat.FileHeaderBytes;
    }

    /// <summary>
    /// Makes it a spare again, by renaming the file. Its records stay in the file until others overwrite them; the stamp of the next
    /// number makes them invalid.
    /// </summary>
    /// <param name="path">The new path of the file.</param>
    /// <exception cref="IOException">The file cannot be renamed; the segment is as before.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public void BecomeSpare(string path)
    {
        File.Move(Path, path);
        Path = path;
        Number = 0;
        HasOldRecords = true;
    }

    /// <summary>False when there is no space. The caller holds the spool's lock.</summary>
    public bool TryAppend(SpoolRecordType type, long sequence, ReadOnlySpan<byte> payload, uint payloadChecksum)
    {
        var size = SpoolFormat.SizeOf(payload.Length);
        if (_closed || size > Capacity - _length) return false;
        Span<byte> header = stackalloc byte[SpoolFormat.RecordHeaderBytes];
        SpoolFormat.WriteHeader(header, type, payload.Length, sequence, payloadChecksum, _stamp);
        // The stamp comes last: a process killed before that leaves zeros in its place, or what an earlier segment left there, hence no
        // record.
        WriteAt(_length + SpoolFormat.RecordHeaderBytes, payload);
        WriteAt(_length, header[..SpoolFormat.CommitOffset]);
        WriteAt(_length + SpoolFormat.CommitOffset, header[SpoolFormat.CommitOffset..]);
        _length += size;
        return true;
    }

    /// <summary>Erases the content after a record of an ended call. The caller holds the spool's lock.</summary>
    public void EraseContent(in SpooledContent content)
    {
        if (_closed) return;
        Span<byte> header = stackalloc byte[SpoolFormat.RecordHeaderBytes];
        content.WriteHeader(header, _stamp);
        WriteAt(content.Start, header);
        WriteAt(content.EraseFrom, new byte[content.EraseBytes]);
    }

    /// <summary>Flushes everything appended so far to the disk. Thread-safe; may run concurrently with appends.</summary>
    /// <exception cref="IOException">This flush or an earlier one of this file failed, even if the file is closed.</exception>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    public void Flush()
    {
        // One at a time: the system reports an error to one of two concurrent flushes only.
        lock (_flushing)
        {
            if (_flushFailed) throw new IOException("An earlier flush of this file of the spool failed.");
            try
            {
                // On Linux a file's flush covers its mapped pages; elsewhere the view must be flushed first.
                if (!OperatingSystem.IsLinux()) _view.Flush();
                _flushToDisk(_file);
            }
            catch (IOException)
            {
                _flushFailed = true;
                throw;
            }
        }
    }

    /// <summary>Closes it: no more appends, and the unused space is returned to the disk.</summary>
    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        // Closed by its handle: disposing the view would wait until the whole segment is on the disk, which only the durability setting
        // requires, by Flush.
        _view.SafeMemoryMappedViewHandle.Dispose();
        _view.Dispose();
        _mapping.Dispose();
        try
        {
            if (Number > 0) RandomAccess.SetLength(_file, _length);
            else File.Delete(Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // If the unused space cannot be returned, it does no harm: readers skip it, and the next start deletes spares.
        }
        _file.Dispose();
    }

    private void WriteAt(int offset, ReadOnlySpan<byte> bytes)
    {
        _view.Position = offset;
        _view.Write(bytes);
    }

    private static void Fill(SafeFileHandle file, int capacity)
    {
        var zeros = System.Buffers.ArrayPool<byte>.Shared.Rent(Math.Min(capacity, 256 * 1024));
        try
        {
            Array.Clear(zeros);
            for (var at = 0; at < capacity;)
            {
                var count = Math.Min(zeros.Length, capacity - at);
                RandomAccess.Write(file, zeros.AsSpan(0, count), at);
                at += count;
            }
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(zeros);
        }
    }
}
