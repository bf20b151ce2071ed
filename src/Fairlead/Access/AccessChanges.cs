using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>Starts transactions that change organizations, projects or keys. Thread-safe.</summary>
/// <remarks>
/// Changes of this process wait here, in order and without a thread or a connection. Only the first one then waits for those of other
/// processes, which the database limits to a few seconds.
/// </remarks>
internal sealed class AccessChanges(IStorage storage, TimeProvider time) : IDisposable
{
    /// <summary>
    /// After this time a change stops waiting for its turn and asks the database itself: if the database is unavailable, each turn may
    /// take as long as its timeout.
    /// </summary>
    internal static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _gate = new(1, 1);

    public async Task<AccessChange> BeginAsync(CancellationToken cancellationToken)
    {
        var gate = await TakeTurnAsync(cancellationToken) ? _gate : null;
        try
        {
            var connection = await storage.OpenAsync(cancellationToken);
            try
            {
                var transaction = await storage.Sql.BeginWriteAsync(connection, cancellationToken);
                await storage.Sql.LockAsync(transaction, StorageLock.Access, cancellationToken);
                return new AccessChange(connection, transaction, gate);
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
            gate?.Release();
            throw;
        }
    }

    public void Dispose() => _gate.Dispose();

    private async Task<bool> TakeTurnAsync(CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(MaxWait, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            await _gate.WaitAsync(both.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }
}
