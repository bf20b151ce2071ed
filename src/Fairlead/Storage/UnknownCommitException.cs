namespace Fairlead.Storage;

/// <summary>The connection broke while the database was committing, and it has not been reachable since: nobody knows whether the write is there.</summary>
internal sealed class UnknownCommitException(Exception inner) : StorageException($"It is unknown whether the database has committed: {StorageErrors.Describe(inner)}.");
