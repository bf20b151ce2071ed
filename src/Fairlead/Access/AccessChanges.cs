using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>Starts transactions that change organizations, projects or keys. Thread-safe.</summary>
/// <remarks>
/// Changes of this process wait here, in order and without a thread or a connection. Only the first one then waits for those of other
/// processes, which the database limits to a few seconds.
/// </remarks>
internal sealed class AccessChanges(IStorage storage) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);

    public async Task<AccessChange> BeginAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            var connection = await storage.OpenAsync(cancellationToken);
            try
            {
                var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
                await storage.Sql.LockAsync(transaction, StorageLock.Access, cancellationToken);
                return new AccessChange(connection, transaction, _gate);
            }
            catch
            {
                // Closing the connection also rolls back its transaction.
                await connection.DisposeAsync();
                throw;
            }
        }
        catch
        {
            _gate.Release();
            throw;
        }
    }

    public void Dispose() => _gate.Dispose();
}
