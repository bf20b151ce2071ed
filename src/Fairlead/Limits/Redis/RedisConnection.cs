using StackExchange.Redis;

namespace Fairlead.Limits.Redis;

/// <summary>
/// The one connection of this process, shared by all calls: the driver pipelines their commands. It is opened once and then repairs itself.
/// Thread-safe, except for <see cref="OpenAsync"/>, which has one caller.
/// </summary>
internal sealed class RedisConnection(string? connectionString) : IAsyncDisposable, IDisposable
{
    private Task<ConnectionMultiplexer>? _opening;
    private volatile ConnectionMultiplexer? _connection;

    /// <summary>Whether the configuration names a Redis.</summary>
    public bool IsConfigured => connectionString is not null;

    /// <summary>The database.</summary>
    /// <exception cref="RedisConnectionException">The connection has not been opened.</exception>
    public IDatabaseAsync Database => _connection?.GetDatabase()
        ?? throw new RedisConnectionException(
            ConnectionFailureType.UnableToConnect, CommandFlags.None, "Not connected.", null, CommandStatus.WaitingToBeSent);

    /// <summary>Its servers; empty if the connection has not been opened.</summary>
    public IServer[] Servers => _connection?.GetServers() ?? [];

    /// <summary>Number of <see cref="Database"/>.</summary>
    public int DatabaseNumber => _connection?.GetDatabase().Database ?? 0;

    /// <summary>Opens the connection if that was not done. A Redis that is unavailable is no error here.</summary>
    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        if (_connection is not null) return;
        // An attempt that takes long goes on when its caller no longer waits.
        if (_opening is null or { IsFaulted: true } or { IsCanceled: true })
            _opening = ConnectionMultiplexer.ConnectAsync(RedisConnectionString.Parse(connectionString!)!);
        _connection = await _opening.WaitAsync(cancellationToken);
    }

    public void Dispose() => _connection?.Dispose();

    public async ValueTask DisposeAsync()
    {
        if (_connection is { } connection) await connection.DisposeAsync();
    }
}
