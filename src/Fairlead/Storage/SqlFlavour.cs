using System.Data.Common;

namespace Fairlead.Storage;

/// <summary>
/// The parts of SQL that differ between the two databases. All other SQL is written once, for both: parameters <c>@name</c>, integers as
/// <c>BIGINT</c> (times in milliseconds since 1970, booleans 0 and 1, money in picodollars), <c>ON CONFLICT (…) DO NOTHING</c> or
/// <c>DO UPDATE SET x = table.x + excluded.x</c> (PostgreSQL requires the table's name), <c>RETURNING</c>, <c>LIMIT</c>, row
/// values, partial indexes, <c>CASE WHEN … THEN 1 ELSE 0 END</c> for a boolean result, <c>CAST(SUM(x) AS BIGINT)</c> for a sum.
/// Immutable and thread-safe.
/// </summary>
internal abstract class SqlFlavour
{
    public static readonly SqlFlavour Postgres = new PostgresFlavour();

    /// <summary>SQLite, for one database: the writers of one instance run one after another.</summary>
    /// <param name="time">The clock.</param>
    public static SqlFlavour Sqlite(TimeProvider time) => new SqliteFlavour(time);

    public abstract StorageProvider Provider { get; }

    /// <summary>
    /// Type of a text that sorts by its bytes. PostgreSQL refuses U+0000 in it, so text from callers passes through <see cref="Storable"/>,
    /// or is stored as UTF-8 in a column of type <see cref="Bytes"/>.
    /// </summary>
    public abstract string Text { get; }

    /// <summary>Type of a column that holds bytes.</summary>
    public abstract string Bytes { get; }

    /// <summary>Type and constraint of a primary key that numbers the rows; the insert does not name it.</summary>
    public abstract string RowNumber { get; }

    /// <summary>Ends the definition of a table that is only found by its primary key.</summary>
    public abstract string Keyed { get; }

    /// <summary>Ends a SELECT of rows that this transaction will change. Empty if there is only one write transaction at a time.</summary>
    public abstract string ForUpdate { get; }

    /// <summary>The same, but skips rows that another transaction has locked.</summary>
    public abstract string ForUpdateSkipLocked { get; }

    /// <summary>
    /// The time for leases and pauses, in milliseconds. In PostgreSQL the clock of the database, which all nodes share; in SQLite the
    /// parameter <c>@clock</c>, which the caller sets from its <see cref="SteadyClock"/>.
    /// </summary>
    public abstract string Clock { get; }

    /// <summary>
    /// Starts a transaction that will write. In SQLite it has the write lock from the start, so that it cannot fail because it read first.
    /// In PostgreSQL it is READ COMMITTED, and locks rows with <see cref="ForUpdate"/> or <see cref="LockAsync"/>.
    /// </summary>
    public abstract ValueTask<DbTransaction> BeginWriteAsync(DbConnection connection, CancellationToken cancellationToken);

    /// <summary>Executes one statement that writes, outside of a transaction. Returns the number of rows that it changed.</summary>
    public abstract ValueTask<int> WriteAsync(DbCommand command, CancellationToken cancellationToken);

    /// <summary>
    /// Waits until no other transaction has the lock, and holds it until the transaction ends. Does nothing if there is only one write
    /// transaction at a time.
    /// </summary>
    public abstract ValueTask LockAsync(DbTransaction transaction, StorageLock name, CancellationToken cancellationToken);

    /// <summary>
    /// Marks the process of the connection as alive until the connection closes, which happens at once if the process dies. Does nothing if
    /// there is only one process.
    /// </summary>
    public abstract ValueTask MarkAliveAsync(DbConnection connection, string process, CancellationToken cancellationToken);

    /// <summary>Whether no open connection marks the process as alive. A process that hangs but is still connected is not gone.</summary>
    public abstract ValueTask<bool> IsGoneAsync(DbTransaction transaction, string process, CancellationToken cancellationToken);

    /// <summary>Whether the table exists in the schema of unqualified names.</summary>
    public abstract Task<bool> TableExistsAsync(DbConnection connection, string table, CancellationToken cancellationToken);

    /// <summary>The text in the form that a column of type <see cref="Text"/> accepts: almost always unchanged.</summary>
    public abstract string Storable(string text);

    [System.Diagnostics.CodeAnalysis.SuppressMessage(
        "Reliability", "CA1001", Justification = "The semaphore has no wait handle, so there is nothing to dispose.")]
    private sealed class SqliteFlavour(TimeProvider time) : SqlFlavour
    {
        /// <summary>
        /// After this time, a writer stops waiting for its turn and tries at once. It is as long as SQLite itself waits for its lock, so
        /// that a database that blocks all writes refuses each of them in twice that time.
        /// </summary>
        private static readonly TimeSpan MaxQueueTime = TimeSpan.FromSeconds(5);

        // SQLite's writers poll for its lock: each blocks a thread, new ones overtake old ones, and an old one fails as busy although the
        // database is never blocked for long. So the writers of this process wait here, in the order of their arrival and without a thread.
        // Only the first of them waits in SQLite.
        private readonly SemaphoreSlim _turn = new(1, 1);

        public override StorageProvider Provider => StorageProvider.Sqlite;

        public override string Text => "TEXT";

        public override string Bytes => "BLOB";

        public override string RowNumber => "INTEGER NOT NULL PRIMARY KEY";

        public override string Keyed => " WITHOUT ROWID";

        public override string ForUpdate => "";

        public override string ForUpdateSkipLocked => "";

        public override string Clock => "@clock";

        public override async ValueTask<DbTransaction> BeginWriteAsync(DbConnection connection, CancellationToken cancellationToken)
        {
            var hasTurn = await TakeTurnAsync(cancellationToken);
            try
            {
                // The provider uses BEGIN IMMEDIATE unless a deferred transaction is requested.
                return await connection.BeginTransactionAsync(cancellationToken);
            }
            finally
            {
                // The lock is taken. The next writer may wait for it in SQLite.
                if (hasTurn) _turn.Release();
            }
        }

        public override async ValueTask<int> WriteAsync(DbCommand command, CancellationToken cancellationToken)
        {
            var hasTurn = await TakeTurnAsync(cancellationToken);
            try
            {
                return await command.ExecuteNonQueryAsync(cancellationToken);
            }
            finally
            {
                if (hasTurn) _turn.Release();
            }
        }

        private async ValueTask<bool> TakeTurnAsync(CancellationToken cancellationToken)
        {
            var turn = _turn.WaitAsync(cancellationToken);
            if (turn.IsCompletedSuccessfully) return true;
            try
            {
                await turn.WaitAsync(MaxQueueTime, time, cancellationToken);
                return true;
            }
            catch (Exception fault) when (fault is TimeoutException or OperationCanceledException)
            {
                // A turn that comes too late is passed to the next writer.
                _ = turn.ContinueWith(late =>
                {
                    if (late.IsCompletedSuccessfully) _turn.Release();
                }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                cancellationToken.ThrowIfCancellationRequested();
                return false;
            }
        }

        public override ValueTask LockAsync(DbTransaction transaction, StorageLock name, CancellationToken cancellationToken) => default;

        public override ValueTask MarkAliveAsync(DbConnection connection, string process, CancellationToken cancellationToken) => default;

        public override ValueTask<bool> IsGoneAsync(DbTransaction transaction, string process, CancellationToken cancellationToken) =>
            new(true);

        public override async Task<bool> TableExistsAsync(DbConnection connection, string table, CancellationToken cancellationToken) =>
            await connection.Int64Async(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = @table", [("@table", table)], cancellationToken) is not null;

        public override string Storable(string text) => text;
    }

    private sealed class PostgresFlavour : SqlFlavour
    {
        /// <summary>
        /// First half of the keys of our advisory locks ("fair" in ASCII), so that they differ from those of other programs.
        /// </summary>
        private const int LockSpace = 0x66616972;

        public override StorageProvider Provider => StorageProvider.Postgres;

        /// <summary>The same for the marks of processes that are alive.</summary>
        private const int ProcessSpace = LockSpace + 1;

        // Not the database's own order: it may ignore case and punctuation, and changes with the system's libraries.
        public override string Text => "TEXT COLLATE \"C\"";

        public override string Bytes => "BYTEA";

        public override string RowNumber => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY";

        public override string Keyed => "";

        public override string ForUpdate => " FOR UPDATE";

        public override string ForUpdateSkipLocked => " FOR UPDATE SKIP LOCKED";

        public override string Clock => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

        public override ValueTask<DbTransaction> BeginWriteAsync(DbConnection connection, CancellationToken cancellationToken) =>
            connection.BeginTransactionAsync(System.Data.IsolationLevel.ReadCommitted, cancellationToken);

        public override async ValueTask<int> WriteAsync(DbCommand command, CancellationToken cancellationToken) =>
            await command.ExecuteNonQueryAsync(cancellationToken);

        public override async ValueTask LockAsync(DbTransaction transaction, StorageLock name, CancellationToken cancellationToken)
        {
            await using var command = transaction.Connection!.CreateCommand();
            command.Transaction = transaction;
            command.CommandText = "SELECT pg_advisory_xact_lock(CAST(@space AS INT), CAST(@name AS INT))";
            ((SqlValue)LockSpace).AddTo(command, "@space");
            ((SqlValue)(int)name).AddTo(command, "@name");
            // Another node may need minutes for the schema; the token stops the wait.
            if (name == StorageLock.Schema) command.CommandTimeout = 600;
            await command.ExecuteNonQueryAsync(cancellationToken);
        }

        // Shared: after a lost connection the server may hold the lock of the old one for hours, and two processes may have the same key.
        public override async ValueTask MarkAliveAsync(DbConnection connection, string process, CancellationToken cancellationToken) =>
            await connection.ExecuteAsync(
                "SELECT pg_advisory_lock_shared(CAST(@space AS INT), CAST(@key AS INT))",
                [("@space", ProcessSpace), ("@key", KeyOf(process))], cancellationToken);

        public override async ValueTask<bool> IsGoneAsync(DbTransaction transaction, string process, CancellationToken cancellationToken) =>
            await transaction.Connection!.Int64Async(
                "SELECT CASE WHEN pg_try_advisory_xact_lock(CAST(@space AS INT), CAST(@key AS INT)) THEN 1 ELSE 0 END",
                [("@space", ProcessSpace), ("@key", KeyOf(process))], cancellationToken) == 1;

        // FNV-1a: the same in every process.
        private static int KeyOf(string process)
        {
            var hash = 2166136261u;
            foreach (var letter in process) hash = unchecked((hash ^ letter) * 16777619u);
            return unchecked((int)hash);
        }

        public override async Task<bool> TableExistsAsync(DbConnection connection, string table, CancellationToken cancellationToken) =>
            await connection.Int64Async(
                "SELECT CASE WHEN to_regclass(@table) IS NOT NULL THEN 1 ELSE 0 END", [("@table", table)], cancellationToken) == 1;

        public override string Storable(string text) => text.Contains('\0', StringComparison.Ordinal) ? text.Replace('\0', '\ufffd') : text;
    }
}
