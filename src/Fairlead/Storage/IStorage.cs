using System.Data.Common;

namespace Fairlead.Storage;

/// <summary>The database of this node, its schema brought up to date before the first connection is given out. Thread-safe.</summary>
internal interface IStorage
{
    /// <summary>Where its SQL differs from that of the other database.</summary>
    SqlFlavour Sql { get; }

    StorageProvider Provider => Sql.Provider;

    /// <summary>Tells the nodes of this database of changes.</summary>
    IDatabaseNotifier Notifier { get; }

    /// <summary>
    /// Creates the database if it is missing and applies the schema steps that it lacks. Repeatable. The other members do it when it was not
    /// done yet.
    /// </summary>
    /// <exception cref="StorageException">
    /// The database cannot be opened or created; a <see cref="SchemaException"/> when a newer version created it.
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
