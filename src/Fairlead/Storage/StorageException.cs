namespace Fairlead.Storage;

/// <summary>
/// The database cannot be used. The message tells the operator why, and the fix. Not for callers: it has paths and hosts.
/// </summary>
internal class StorageException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Whether the database may become available by itself, such as a server that is still starting.</summary>
    public bool IsTransient { get; init; }
}
