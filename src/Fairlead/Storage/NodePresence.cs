using System.Data.Common;

namespace Fairlead.Storage;

/// <summary>
/// A connection that stays open as long as this process runs, so that other nodes can distinguish a process that died from a slow one. Does
/// nothing on SQLite. Not thread-safe.
/// </summary>
internal sealed class NodePresence(IStorage storage, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(5);

    private DbConnection? _connection;
    private long _checkedAt;

    /// <summary>Opens the connection if it is closed, and checks it every few seconds.</summary>
    public async Task HoldAsync(string process, CancellationToken cancellationToken)
    {
        if (storage.Provider == StorageProvider.Sqlite) return;
        try
        {
            if (_connection is null)
            {
                _connection = await storage.OpenAsync(cancellationToken);
                await storage.Sql.MarkAliveAsync(_connection, process, cancellationToken);
            }
            else if (time.GetElapsedTime(_checkedAt) >= CheckInterval)
            {
                await _connection.Int64Async("SELECT 1", [], cancellationToken);
            }
            else
            {
                return;
            }
            _checkedAt = time.GetTimestamp();
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection is not { } connection) return;
        _connection = null;
        try
        {
            // The pool would keep the connection, and with it the mark.
            await using var command = connection.CreateCommand();
            command.CommandTimeout = 2;
            command.CommandText = "SELECT pg_advisory_unlock_all()";
            await command.ExecuteNonQueryAsync();
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception) || exception is InvalidOperationException)
        {
            // A lost connection no longer marks its process as alive, or does so only a little longer.
        }
        await connection.DisposeAsync();
    }
}
