namespace Fairlead.Auditing.Chain;

/// <summary>
/// The signed ends of chains, one file each beside the folders of the spool: <c>spool/{node}.head</c>. Whoever deletes the last records of
/// the database cannot change them there without the key. Each is written after the records it covers are committed, so the chain is never
/// shorter than its head. Thread-safe: several writers of this process may extend a chain.
/// </summary>
internal sealed class ChainHeads(string folder)
{
    private const string Extension = ".head";
    private const string LostExtension = ".lost-head";

    private readonly Lock _gate = new();
    private readonly Dictionary<string, long> _written = new(StringComparer.Ordinal);

    /// <summary>Writes the head, unless this process has written a later one of the node.</summary>
    public void Write(SignedCheckpoint head)
    {
        lock (_gate)
        {
            if (_written.GetValueOrDefault(head.Node) > head.Sequence) return;
            Replace(PathOf(head.Node), head);
            _written[head.Node] = head.Sequence;
        }
    }

    /// <summary>The head of a node; null if there is none or it cannot be read.</summary>
    public SignedCheckpoint? Read(string node)
    {
        var path = PathOf(node);
        return File.Exists(path) ? SignedCheckpoint.Parse(File.ReadAllText(path)) : null;
    }

    /// <summary>
    /// Keeps a head that the database does not contain any more: the node goes on, but its next head must not hide what is missing.
    /// </summary>
    public string KeepLost(SignedCheckpoint head)
    {
        var path = Path.Combine(folder, string.Create(System.Globalization.CultureInfo.InvariantCulture,
            $"{head.Node}-{head.Sequence}{LostExtension}"));
        lock (_gate)
        {
            Replace(path, head);
            File.Delete(PathOf(head.Node));
            _written.Remove(head.Node);
        }
        return path;
    }

    /// <summary>The nodes whose spools are on this machine: if they have records, they have a head.</summary>
    public IReadOnlySet<string> LocalNodes() => Directory.Exists(folder)
        ? Directory.EnumerateDirectories(folder).Select(path => Path.GetFileName(path)).ToHashSet(StringComparer.Ordinal)
        : new HashSet<string>(StringComparer.Ordinal);

    /// <summary>All heads, also lost ones, with the files that have them. A file that cannot be read has no head.</summary>
    public IEnumerable<(string Path, SignedCheckpoint? Head)> All()
    {
        if (!Directory.Exists(folder)) yield break;
        foreach (var path in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
        {
            if (Path.GetExtension(path) is not (Extension or LostExtension)) continue;
            string text;
            try
            {
                text = File.ReadAllText(path);
            }
            catch (FileNotFoundException)
            {
                // A running server has just made a lost head of it.
                continue;
            }
            yield return (path, SignedCheckpoint.Parse(text));
        }
    }

    private static void Replace(string path, SignedCheckpoint head)
    {
        var next = path + ".next";
        File.WriteAllText(next, head.ToJson() + "\n");
        // A process that is killed leaves the old head or the new one.
        File.Move(next, path, overwrite: true);
    }

    private string PathOf(string node) => Path.Combine(folder, node + Extension);
}
