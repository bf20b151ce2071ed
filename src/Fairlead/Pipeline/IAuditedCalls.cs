namespace Fairlead.Pipeline;

/// <summary>
/// The audit records of calls that have ended, for whoever knows the id of one. A call of this node is found at once, one of another as
/// soon as its node has written it to the database. Thread-safe.
/// </summary>
internal interface IAuditedCalls
{
    /// <summary>
    /// The newest record of a generation as JSON; null if the project has none of this id, or it is not stored any more.
    /// </summary>
    Task<ReadOnlyMemory<byte>?> FindAsync(string projectId, string generationId, CancellationToken cancellationToken);
}
