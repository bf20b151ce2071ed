using System.Data.Common;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Fairlead.Storage;

/// <summary>What an exception of the database means.</summary>
internal static class StorageFaults
{
    private const int SqliteConstraint = 19;

    /// <summary>A row contradicts another one (its parent is gone, its id is taken): the request's fault, not the store's.</summary>
    public static bool IsContradiction(Exception fault) =>
        fault is SqliteException { SqliteErrorCode: SqliteConstraint } || (fault is DbUpdateException { InnerException: { } inner } && IsContradiction(inner));

    /// <summary>The store itself failed or is away.</summary>
    public static bool IsStoreFault(Exception fault) => fault is DbException or DbUpdateException or StorageException;
}
