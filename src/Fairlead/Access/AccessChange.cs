using System.Data.Common;

namespace Fairlead.Access;

/// <summary>
/// A transaction that changes organizations, projects or keys. Only one runs at a time across all nodes, so a check before a write is still
/// true at the write. Disposing it rolls back unless it was committed. For one caller.
/// </summary>
internal sealed class AccessChange(DbConnection connection, DbTransaction transaction, SemaphoreSlim? gate) : IAsyncDisposable
{
    private bool _ended;

    public DbConnection Connection => connection;

    /// <summary>Commits, and returns the connection to the pool: a slow client must not hold one while it reads the response.</summary>
    public async Task CommitAsync(CancellationToken cancellationToken)
    {
        await transaction.CommitAsync(cancellationToken);
        await DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_ended) return;
        _ended = true;
        try
        {
            await transaction.DisposeAsync();
            await connection.DisposeAsync();
        }
        finally
        {
            gate?.Release();
        }
    }
}
