using System.Data.Common;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Fairlead.Storage;

/// <summary>Classifies exceptions of both databases.</summary>
internal static class StorageErrors
{
    private const int SqliteBusy = 5;
    private const int SqliteLocked = 6;
    private const int SqliteConstraint = 19;
    private const int SqliteUnique = 2067;
    private const int SqlitePrimaryKey = 1555;
    private const int SqliteRowId = 2579;

    /// <summary>A constraint was violated (a parent was deleted, an id is taken): an error of the request, not of the store.</summary>
    public static bool IsConstraintViolation(Exception fault) => fault switch
    {
        SqliteException sqlite => sqlite.SqliteErrorCode == SqliteConstraint,
        PostgresException postgres => postgres.SqlState.StartsWith("23", StringComparison.Ordinal),
        _ => false,
    };

    /// <summary>A row with this key exists already.</summary>
    public static bool IsUniqueViolation(Exception fault) => fault switch
    {
        SqliteException sqlite => sqlite.SqliteExtendedErrorCode is SqliteUnique or SqlitePrimaryKey or SqliteRowId,
        PostgresException postgres => postgres.SqlState == PostgresErrorCodes.UniqueViolation,
        _ => false,
    };

    /// <summary>Another transaction was in the way; the same transaction, started again, may succeed.</summary>
    public static bool IsCollision(Exception fault) => fault switch
    {
        SqliteException sqlite => sqlite.SqliteErrorCode is SqliteBusy or SqliteLocked,
        PostgresException postgres => postgres.SqlState is PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected
            or PostgresErrorCodes.LockNotAvailable,
        _ => false,
    };

    /// <summary>PostgreSQL aborted the transaction in favour of another one. Nothing of it was written.</summary>
    public static bool IsRolledBack(Exception fault) =>
        fault is PostgresException { SqlState: PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected };

    /// <summary>
    /// The database could not be reached, is starting or stopping, or did not respond in time. Whether such a commit took effect is
    /// unknown.
    /// </summary>
    public static bool IsUnavailable(Exception fault) => fault switch
    {
        SqliteException sqlite => sqlite.SqliteErrorCode is 10 or 13 or 14, // IOERR, FULL, CANTOPEN
        PostgresException postgres => postgres.SqlState is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown
            or PostgresErrorCodes.CannotConnectNow or PostgresErrorCodes.TooManyConnections or PostgresErrorCodes.DiskFull
            or PostgresErrorCodes.ReadOnlySqlTransaction
            || postgres.SqlState.StartsWith("08", StringComparison.Ordinal),
        NpgsqlException => true,
        _ => false,
    };

    /// <summary>
    /// Whether a commit that failed may have taken effect. An error that PostgreSQL reports is its response and means no, unless its
    /// process was stopped. A broken connection or a timeout means nothing.
    /// </summary>
    public static bool MayHaveCommitted(Exception fault) => fault switch
    {
        PostgresException postgres => postgres.SqlState is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown
            || postgres.SqlState.StartsWith("08", StringComparison.Ordinal),
        NpgsqlException => true,
        _ => false,
    };

    /// <summary>The store failed or is unavailable.</summary>
    public static bool IsStoreError(Exception fault) => fault is DbException or StorageException;

    /// <summary>What happened, without values, addresses or credentials, so that it may be logged.</summary>
    public static string Describe(Exception fault) => fault switch
    {
        PostgresException postgres => $"PostgreSQL error {postgres.SqlState}",
        NpgsqlException { InnerException: TimeoutException } => "PostgreSQL did not respond in time",
        NpgsqlException { InnerException: System.Net.Sockets.SocketException socket } =>
            $"PostgreSQL cannot be reached, {socket.SocketErrorCode}",
        NpgsqlException => "the connection to PostgreSQL broke",
        SqliteException sqlite => $"SQLite error {sqlite.SqliteErrorCode}",
        var other => other.GetType().Name,
    };
}
