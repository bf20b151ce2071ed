namespace Fairlead.Storage;

/// <summary>The database cannot be used; the message tells the operator why and what to do. Not for callers: it names paths and hosts.</summary>
internal class StorageException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Whether it may be there by itself in a while, as a server that is still starting.</summary>
    public bool MayPass { get; init; }
}
