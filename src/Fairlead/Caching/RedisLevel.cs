using Fairlead.Limits.Redis;
using Microsoft.Extensions.Caching.Distributed;
using StackExchange.Redis;

namespace Fairlead.Caching;

/// <summary>
/// The second level of the cache, in the Redis that also counts rates: over its connection, and only while its circuit is closed.
/// Thread-safe.
/// </summary>
internal sealed class RedisLevel(RedisConnection connection, RedisCircuit circuit, RedisWatch watch) : IDistributedCache
{
    /// <summary>The start of all keys.</summary>
    public const string Prefix = "fairlead:cache:";

    private const int RemovedAtOnce = 500;

    private static readonly TimeSpan DefaultExpiry = TimeSpan.FromHours(1);

    /// <summary>Whether the configuration names a Redis.</summary>
    public bool IsConfigured => connection.IsConfigured;

    /// <summary>Whether it responded when it was last used.</summary>
    public bool IsAvailable => connection.IsConfigured && circuit.IsAvailable;

    public async Task<byte[]?> GetAsync(string key, CancellationToken token = default)
    {
        if (!IsAvailable) return null;
        return await SentAsync(static (database, key) => database.StringGetAsync(Prefix + key), key, token);
    }

    public async Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        if (!IsAvailable) return;
        var expiry = options.AbsoluteExpirationRelativeToNow
            ?? (options.AbsoluteExpiration is { } until ? until - TimeProvider.System.GetUtcNow() : DefaultExpiry);
        if (expiry <= TimeSpan.Zero) return;
        await SentAsync(
            static (database, state) => database.StringSetAsync(Prefix + state.key, state.value, state.expiry), (key, value, expiry), token);
    }

    public async Task RemoveAsync(string key, CancellationToken token = default)
    {
        if (!IsAvailable) return;
        await SentAsync(static (database, key) => database.KeyDeleteAsync(Prefix + key), key, token);
    }

    /// <summary>Refuses if a server that has entries is not connected: <see cref="RemoveAllAsync"/> passes over it.</summary>
    /// <exception cref="RedisConnectionException">One is not, or none is known.</exception>
    public void ThrowIfIncomplete()
    {
        var servers = connection.Servers;
        if (servers.Length > 0 && servers.All(server => server.IsReplica || server.IsConnected)) return;
        throw new RedisConnectionException(
            ConnectionFailureType.UnableToConnect, CommandFlags.None, "Not connected.", null, CommandStatus.WaitingToBeSent);
    }

    /// <summary>Removes the keys of a pattern.</summary>
    /// <param name="pattern">What the keys look like.</param>
    /// <param name="isGone">Whether one of them, without the prefix, is removed; null to remove all.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <returns>How many.</returns>
    /// <exception cref="RedisException">Redis failed; some of them may remain.</exception>
    public async Task<int> RemoveAllAsync(string pattern, Func<string, bool>? isGone, CancellationToken cancellationToken)
    {
        var removed = 0;
        foreach (var server in connection.Servers)
        {
            if (server.IsReplica || !server.IsConnected) continue;
            var some = new List<RedisKey>(RemovedAtOnce);
            await foreach (var key in server.KeysAsync(connection.DatabaseNumber, Prefix + "*" + pattern, RemovedAtOnce)
                .WithCancellation(cancellationToken))
            {
                if (isGone is not null && !IsGone(key.ToString())) continue;
                some.Add(key);
                if (some.Count < RemovedAtOnce) continue;
                removed += await RemoveAsync(some);
                some.Clear();
            }
            removed += await RemoveAsync(some);
        }
        return removed;

        // The cache puts a version of its own before the key.
        bool IsGone(string key)
        {
            var start = key.IndexOf("proj_", StringComparison.Ordinal);
            return start >= 0 && isGone(key[start..]);
        }
    }

    public Task RefreshAsync(string key, CancellationToken token = default) => Task.CompletedTask;

    // The cache calls the asynchronous forms only. A thread that waits for Redis could be missing elsewhere.
    public byte[]? Get(string key) => throw new NotSupportedException();

    public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => throw new NotSupportedException();

    public void Refresh(string key)
    {
    }

    public void Remove(string key) => throw new NotSupportedException();

    // One by one: keys of a cluster are in different slots.
    private async Task<int> RemoveAsync(List<RedisKey> keys) =>
        (await Task.WhenAll(keys.Select(key => connection.Database.KeyDeleteAsync(key)))).Count(wasThere => wasThere);

    private async Task<T> SentAsync<TState, T>(Func<IDatabaseAsync, TState, Task<T>> send, TState state, CancellationToken cancellationToken)
    {
        var opened = circuit.Opened;
        watch.Sent();
        try
        {
            var sent = send(connection.Database, state);
            // Ends when Redis is silent, too.
            using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, opened);
            return await sent.WaitAsync(both.Token);
        }
        catch (Exception exception) when (RedisErrors.IsUnavailable(exception) && !cancellationToken.IsCancellationRequested)
        {
            circuit.Open(exception);
            throw;
        }
        finally
        {
            watch.Received();
        }
    }
}
