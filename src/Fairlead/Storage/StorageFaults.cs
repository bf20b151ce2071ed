using System.Data.Common;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Fairlead.Storage;

/// <summary>What an exception of the database means, whichever database it is.</summary>
internal static class StorageFaults
{
    private const int SqliteBusy = 5;
    private const int SqliteLocked = 6;
    private const int SqliteConstraint = 19;
    private const int SqliteUnique = 2067;
    private const int SqlitePrimaryKey = 1555;
    private const int SqliteRowId = 2579;

    /// <summary>A row contradicts another one (its parent is gone, its id is taken): the request's fault, not the store's.</summary>
    public static bool IsContradiction(Exception fault) => Core(fault) switch
    {
        SqliteException sqlite => sqlite.SqliteErrorCode == SqliteConstraint,
        PostgresException postgres => postgres.SqlState.StartsWith("23", StringComparison.Ordinal),
        _ => false,
    };

    /// <summary>A row with this key is there already.</summary>
    public static bool IsUniqueViolation(Exception fault) => Core(fault) switch
    {
        SqliteException sqlite => sqlite.SqliteExtendedErrorCode is SqliteUnique or SqlitePrimaryKey or SqliteRowId,
        PostgresException postgres => postgres.SqlState == PostgresErrorCodes.UniqueViolation,
        _ => false,
    };

    /// <summary>Others were in the way; the same transaction, begun again, may well succeed.</summary>
    public static bool IsCollision(Exception fault) => Core(fault) switch
    {
        SqliteException sqlite => sqlite.SqliteErrorCode is SqliteBusy or SqliteLocked,
        PostgresException postgres => postgres.SqlState is PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.LockNotAvailable,
        _ => false,
    };

    /// <summary>PostgreSQL broke the transaction off to let another one pass. Nothing of it was written.</summary>
    public static bool IsBrokenOff(Exception fault) =>
        Core(fault) is PostgresException { SqlState: PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected };

    /// <summary>
    /// The database could not be reached, is starting or stopping, or did not answer in time. Whether a commit that ended so took effect is
    /// unknown.
    /// </summary>
    public static bool IsUnavailable(Exception fault) => Core(fault) switch
    {
        SqliteException sqlite => sqlite.SqliteErrorCode is 10 or 13 or 14, // IOERR, FULL, CANTOPEN
        PostgresException postgres => postgres.SqlState is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow
            or PostgresErrorCodes.TooManyConnections or PostgresErrorCodes.DiskFull or PostgresErrorCodes.ReadOnlySqlTransaction
            || postgres.SqlState.StartsWith("08", StringComparison.Ordinal),
        NpgsqlException => true,
        _ => false,
    };

    /// <summary>
    /// Whether a commit that failed so may have taken effect. An error that PostgreSQL reports is its answer, and says no, unless its process was ended; a connection that
    /// broke or a time that ran out says nothing.
    /// </summary>
    public static bool MayHaveCommitted(Exception fault) => Core(fault) switch
    {
        PostgresException postgres => postgres.SqlState is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown || postgres.SqlState.StartsWith("08", StringComparison.Ordinal),
        NpgsqlException => true,
        _ => false,
    };

    /// <summary>The store itself failed or is away.</summary>
    public static bool IsStoreFault(Exception fault) => Core(fault) is DbException or DbUpdateException or StorageException;

    /// <summary>What happened, in words without values, addresses or credentials: fit for a log.</summary>
    public static string Describe(Exception fault) => Core(fault) switch
    {
        PostgresException postgres => $"PostgreSQL error {postgres.SqlState}",
        NpgsqlException { InnerException: TimeoutException } => "PostgreSQL did not answer in time",
        NpgsqlException { InnerException: System.Net.Sockets.SocketException socket } => $"PostgreSQL cannot be reached, {socket.SocketErrorCode}",
        NpgsqlException => "the connection to PostgreSQL broke",
        SqliteException sqlite => $"SQLite error {sqlite.SqliteErrorCode}",
        var other => other.GetType().Name,
    };

    // EF Core wraps what it meets: changes in DbUpdateException, what a retry might help in InvalidOperationException.
    private static Exception Core(Exception fault) => fault switch
    {
        DbUpdateException { InnerException: { } inner } => Core(inner),
        InvalidOperationException { InnerException: { } inner } when inner is DbException or DbUpdateException or StorageException => Core(inner),
        _ => fault,
    };
}
