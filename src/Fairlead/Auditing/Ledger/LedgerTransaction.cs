using System.Data.Common;

namespace Fairlead.Auditing.Ledger;

/// <summary>The transaction of a batch with its connection. Disposing it rolls back unless it was committed. For one caller.</summary>
internal sealed class LedgerTransaction(DbConnection connection, DbTransaction transaction, Func<Task>? onEnd = null) : IAsyncDisposable
{
    public DbConnection Connection => connection;

    public DbTransaction Transaction => transaction;

    public Task CommitAsync(CancellationToken cancellationToken) => transaction.CommitAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        try
        {
            await transaction.DisposeAsync();
            // The connection returns to a pool whose other users must wait for the disk when they commit.
            if (onEnd is not null) await onEnd();
        }
        finally
        {
            await connection.DisposeAsync();
        }
    }
}
