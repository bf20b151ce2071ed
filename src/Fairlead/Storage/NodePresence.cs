using System.Data.Common;

namespace Fairlead.Storage;

/// <summary>
/// A connection that stays open as long as this process lives, so that other nodes can tell a process that died from one that is slow. For one caller. Nothing on SQLite.
/// </summary>
internal sealed class NodePresence(IStorage storage, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(5);

    private DbConnection? _connection;
    private long _lookedAt;

    /// <summary>Opens it where it is missing, and looks now and then whether it still stands.</summary>
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
            else if (time.GetElapsedTime(_lookedAt) >= Look)
            {
                await using var command = _connection.CreateCommand();
                command.CommandText = "SELECT 1";
                await command.ExecuteScalarAsync(cancellationToken);
            }
            else
            {
                return;
            }
            _lookedAt = time.GetTimestamp();
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
            // A pool would keep the connection, and with it the mark.
            await using var command = connection.CreateCommand();
            command.CommandTimeout = 2;
            command.CommandText = "SELECT pg_advisory_unlock_all()";
            await command.ExecuteNonQueryAsync();
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception) || exception is InvalidOperationException)
        {
            // A connection that is lost marks nothing any more, or its process as living a little longer.
        }
        await connection.DisposeAsync();
    }
}
