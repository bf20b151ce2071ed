namespace Fairlead.Auditing.Chain;

/// <summary>
/// The signed ends of chains, one file each beside the folders of the spool: <c>spool/{node}.head</c>. Whoever deletes the last records of
/// the database cannot change them there without the key. Each is written after the records it covers are committed, so the chain is never
/// shorter than its head. For one thread.
/// </summary>
internal sealed class ChainHeads(string folder)
{
    private const string Extension = ".head";
    private const string LostExtension = ".lost-head";

    public void Write(SignedCheckpoint head)
    {
        var path = PathOf(head.Node);
        var next = path + ".next";
        File.WriteAllText(next, head.ToJson() + "\n");
        // A process that is killed leaves the old head or the new one.
        File.Move(next, path, overwrite: true);
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
        File.Move(PathOf(head.Node), path, overwrite: true);
        return path;
    }

    /// <summary>All heads, also lost ones, with the files that have them. A file that cannot be read has no head.</summary>
    public IEnumerable<(string Path, SignedCheckpoint? Head)> All()
    {
        if (!Directory.Exists(folder)) yield break;
        foreach (var path in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
        {
            if (Path.GetExtension(path) is Extension or LostExtension) yield return (path, SignedCheckpoint.Parse(File.ReadAllText(path)));
        }
    }

    private string PathOf(string node) => Path.Combine(folder, node + Extension);
}
