using System.Data.Common;

namespace Fairlead.Storage;

/// <summary>The database of this node, its schema brought up to date before the first connection is given out. Thread-safe.</summary>
internal interface IStorage
{
    StorageProvider Provider { get; }

    /// <summary>Creates the database where it is missing and applies the schema steps it lacks. Repeatable; done by the first of the other members otherwise.</summary>
    /// <exception cref="StorageException">The database cannot be opened or made; as <see cref="SchemaException"/>, a newer version made it.</exception>
    Task EnsureReadyAsync(CancellationToken cancellationToken);

    /// <summary>
    /// An open connection from the pool; dispose it to give it back. For <see cref="StorageProvider.Sqlite"/> it is a
    /// <see cref="Microsoft.Data.Sqlite.SqliteConnection"/> in WAL mode with foreign keys on and a busy timeout of 5 s;
    /// <c>BeginTransaction()</c> takes the write lock at once.
    /// </summary>
    ValueTask<DbConnection> OpenAsync(CancellationToken cancellationToken);
}
