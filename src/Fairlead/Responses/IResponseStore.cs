using Fairlead.Generations;
using Fairlead.Storage;

namespace Fairlead.Responses;

/// <summary>Keeps finished responses until they expire. Thread-safe; every member throws when the database is away (<see cref="Storage.StorageErrors"/>).</summary>
internal interface IResponseStore
{
    /// <summary>Keeps one that was made outside of the queue once; one of a run, in place of what an earlier run has left, unless <paramref name="lease"/> has passed to another run.</summary>
    Task SaveAsync(StoredResponse response, Generations.RunLease? lease, CancellationToken cancellationToken);

    /// <summary>Null when there is none, it belongs to another project or it has expired.</summary>
    /// <param name="projectId">The project.</param>
    /// <param name="id">Its id.</param>
    /// <param name="parts">Parts to read; the others are empty.</param>
    /// <param name="count">Called with the length of the parts before they are read; throws when the process has no memory for them. Null for nothing.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    Task<StoredResponse?> FindAsync(string projectId, string id, StoredParts parts, Action<long>? count, CancellationToken cancellationToken);

    /// <summary>False when there was none to delete.</summary>
    Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken);

    /// <summary>Deletes what has expired; returns how many.</summary>
    Task<long> DeleteExpiredAsync(CancellationToken cancellationToken);
}

/// <summary>Which parts of a stored response are read with it: each may be large.</summary>
internal enum StoredParts
{
    /// <summary>The short columns.</summary>
    None,

    /// <summary>The object that was sent.</summary>
    Response,

    /// <summary>The items of its input and its output.</summary>
    Items,
}
