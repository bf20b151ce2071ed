using System.Globalization;

namespace Fairlead.Auditing.Spooling;

/// <summary>
/// The folder of one node, <c>spool/{node}</c>, locked by an exclusively opened file for as long as this object exists. The lock ends with
/// the process that held it, so the next holder knows that no other process appends there any more.
/// </summary>
internal sealed class SpoolFolder : IDisposable
{
    private const string LockName = "lock";
    private const string Extension = ".seg";
    private const string SpareName = "spare";
    private readonly FileStream _lock;

    private SpoolFolder(string path, FileStream held)
    {
        Path = path;
        Node = System.IO.Path.GetFileName(path);
        _lock = held;
    }

    public string Path { get; }

    /// <summary>Such as <c>node_01J…</c>: the folder's name.</summary>
    public string Node { get; }

    /// <summary>Takes the folder, or null when another process holds it or it no longer exists.</summary>
    public static SpoolFolder? TryOpen(string path)
    {
        FileStream held;
        try
        {
            held = new FileStream(System.IO.Path.Combine(path, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
        }
        catch (DirectoryNotFoundException)
        {
            return null;
        }
        catch (IOException)
        {
            return null;
        }
        // The previous holder may have emptied and removed it between our opening and its release.
        if (File.Exists(System.IO.Path.Combine(path, LockName))) return new SpoolFolder(path, held);
        held.Dispose();
        return null;
    }

    public static SpoolFolder Create(string root, string node)
    {
        var path = System.IO.Path.Combine(root, node);
        CreatePrivate(path);
        return TryOpen(path) ?? throw new SpoolUnavailableException($"The new spool folder '{path}' was taken by another process.");
    }

    public static void CreatePrivate(string path)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(path);
        else Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Numbers of the segments there, ascending.</summary>
    public long[] Segments()
    {
        var numbers = new List<long>();
        foreach (var file in Directory.EnumerateFiles(Path, "*" + Extension))
        {
            if (long.TryParse(System.IO.Path.GetFileNameWithoutExtension(file.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture,
                out var number))
            {
                numbers.Add(number);
            }
        }
        numbers.Sort();
        return [.. numbers];
    }

    /// <summary>The sequence number that the node has reached; 0 if nothing there states one.</summary>
    public long LastSequence()
    {
        foreach (var segment in Segments().Reverse())
        {
            var path = PathOf(segment);
            var last = SpoolFile.SequenceBefore(path, segment);
            foreach (var record in SpoolFile.Read(path, segment)) last = Math.Max(last, record.Sequence);
            if (last > 0) return last;
        }
        return 0;
    }

    public string PathOf(long segment) => System.IO.Path.Combine(Path, segment.ToString("D16", CultureInfo.InvariantCulture) + Extension);

    /// <summary>Name of a file that is free for the next segment; it gets that segment's name when it is activated.</summary>
    public string SparePathOf(int number) =>
        System.IO.Path.Combine(Path, string.Create(CultureInfo.InvariantCulture, $"{SpareName}{number}"));

    /// <summary>Deletes segments that a killed process had created in advance or kept for reuse.</summary>
    public void DeleteSpares()
    {
        foreach (var spare in Directory.GetFiles(Path, SpareName + "*")) File.Delete(spare);
    }

    public void Delete(long segment) => File.Delete(PathOf(segment));

    /// <summary>Puts a segment with unreadable records aside instead of deleting it.</summary>
    public void Keep(long segment) => File.Move(PathOf(segment), PathOf(segment) + ".kept", overwrite: true);

    /// <summary>Removes the folder of a stopped node, unless it contains other files; then releases it.</summary>
    public void Remove()
    {
        try
        {
            DeleteSpares();
            if (Directory.EnumerateFileSystemEntries(Path).All(entry => System.IO.Path.GetFileName(entry) == LockName))
                Directory.Delete(Path, recursive: true);
        }
        catch (IOException)
        {
            // An empty folder that remains is found again at the next start.
        }
        Dispose();
    }

    public void Dispose() => _lock.Dispose();
}
