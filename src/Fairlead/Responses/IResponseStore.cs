namespace Fairlead.Responses;

/// <summary>Keeps finished responses until they expire. Thread-safe; every member throws when the database is away (<see cref="Storage.StorageFaults"/>).</summary>
internal interface IResponseStore
{
    /// <summary>Keeps one that was made outside of the queue once; one of a run, in place of what an earlier run has left, unless <paramref name="lease"/> has passed to another run.</summary>
    Task SaveAsync(StoredResponse response, Generations.RunLease? lease, CancellationToken cancellationToken);

    /// <summary>Null when there is none, it belongs to another project or it has expired.</summary>
    Task<StoredResponse?> FindAsync(string projectId, string id, CancellationToken cancellationToken);

    /// <summary>False when there was none to delete.</summary>
    Task<bool> DeleteAsync(string projectId, string id, CancellationToken cancellationToken);

    /// <summary>Deletes what has expired; returns how many.</summary>
    Task<long> DeleteExpiredAsync(CancellationToken cancellationToken);
}
