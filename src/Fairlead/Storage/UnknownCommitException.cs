namespace Fairlead.Storage;

/// <summary>The connection was lost during a commit, and the database is unavailable since: whether it has committed is unknown.</summary>
internal sealed class UnknownCommitException(Exception inner)
    : StorageException($"It is unknown whether the database has committed: {StorageErrors.Describe(inner)}.");
