using Fairlead.Generations;
using Fairlead.Storage;

namespace Fairlead.Responses;

/// <summary>Stores finished responses until they expire. Thread-safe.</summary>
/// <remarks>If the database is unavailable, all members throw an exception that <see cref="StorageErrors"/> classifies.</remarks>
internal interface IResponseStore
{
    /// <summary>
    /// Stores a response. A response of a stored generation replaces that of an earlier run, unless <paramref name="lease"/> belongs to
    /// another run now.
    /// </summary>
    Task SaveAsync(StoredResponse response, RunLease? lease, CancellationToken cancellationToken);

    /// <summary>The response; null if it does not exist, belongs to another project or has expired.</summary>
    /// <param name="projectId">The project.</param>
    /// <param name="id">Its id.</param>
    /// <param name="parts">Parts to read; the others are empty.</param>
    /// <param name="count">
    /// Called with the length of the parts before they are read; throws if the process has no memory for them. Null to count nothing.
    /// </param>
    /// <param name="cancellationToken">Ends the work.</param>
    Task<StoredResponse?> FindAsync(
        string projectId, string id, StoredParts parts, Action<long>? count, CancellationToken cancellationToken);

    /// <summary>Deletes a response. False if there was none.</summary>
    Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken);

    /// <summary>Deletes expired responses; returns how many.</summary>
    Task<long> DeleteExpiredAsync(CancellationToken cancellationToken);
}

/// <summary>The parts of a stored response that are read; each may be large.</summary>
internal enum StoredParts
{
    /// <summary>The short columns.</summary>
    None,

    /// <summary>The object that was sent.</summary>
    Response,

    /// <summary>The items of its input and its output.</summary>
    Items,
}
