using System.Data.Common;

namespace Fairlead.Storage;

/// <summary>The database of this node. Its schema is updated before the first connection is opened. Thread-safe.</summary>
internal interface IStorage
{
    /// <summary>Parts of SQL that differ between the databases.</summary>
    SqlFlavour Sql { get; }

    StorageProvider Provider => Sql.Provider;

    /// <summary>Notifies the nodes of this database of changes.</summary>
    IDatabaseNotifier Notifier { get; }

    /// <summary>
    /// Creates the database if it is missing and applies the schema steps that it lacks. Repeatable. The other members call it if it was
    /// not called yet.
    /// </summary>
    /// <exception cref="StorageException">
    /// The database cannot be opened or created; a <see cref="SchemaException"/> if a newer version created it.
    /// </exception>
    Task EnsureReadyAsync(CancellationToken cancellationToken);

    /// <summary>
    /// An open connection from the pool; dispose it to return it. For <see cref="StorageProvider.Sqlite"/> it is a
    /// <see cref="Microsoft.Data.Sqlite.SqliteConnection"/> in WAL mode with foreign keys on and a busy timeout of 5 s, for
    /// <see cref="StorageProvider.Postgres"/> an <see cref="Npgsql.NpgsqlConnection"/>. Code that writes with more than one statement
    /// starts with <see cref="SqlFlavour.BeginWriteAsync"/>; <see cref="SqlExtensions"/> runs statements.
    /// </summary>
    /// <exception cref="DbException">The database is unavailable; <see cref="StorageErrors"/> classifies errors.</exception>
    ValueTask<DbConnection> OpenAsync(CancellationToken cancellationToken);
}
