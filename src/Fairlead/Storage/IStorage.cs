using System.Data.Common;
using Microsoft.EntityFrameworkCore;

namespace Fairlead.Storage;

/// <summary>The database of this node, its schema brought up to date before the first connection is given out. Thread-safe.</summary>
internal interface IStorage
{
    /// <summary>Where its SQL differs from the other's.</summary>
    SqlFlavour Sql { get; }

    StorageProvider Provider => Sql.Provider;

    /// <summary>Word of changes between the nodes of this database.</summary>
    IDatabaseNotifier Notifier { get; }

    /// <summary>Creates what is missing of the database and applies the schema steps it lacks. Repeatable; done by the first of the other members otherwise.</summary>
    /// <exception cref="StorageException">The database cannot be opened or made; as <see cref="SchemaException"/>, a newer version made it.</exception>
    Task EnsureReadyAsync(CancellationToken cancellationToken);

    /// <summary>
    /// An open connection from the pool; dispose it to give it back. For <see cref="StorageProvider.Sqlite"/> it is a
    /// <see cref="Microsoft.Data.Sqlite.SqliteConnection"/> in WAL mode with foreign keys on and a busy timeout of 5 s, for
    /// <see cref="StorageProvider.Postgres"/> an <see cref="Npgsql.NpgsqlConnection"/>. Who writes more than one statement begins with
    /// <see cref="SqlFlavour.BeginWriteAsync"/>.
    /// </summary>
    /// <exception cref="DbException">The database is away; <see cref="StorageFaults"/> tells faults apart.</exception>
    ValueTask<DbConnection> OpenAsync(CancellationToken cancellationToken);

    /// <summary>Points EF Core at this database.</summary>
    void Configure(DbContextOptionsBuilder options);
}
