using Fairlead.Configuration;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Logging;
using ZiggyCreatures.Caching.Fusion;

namespace Fairlead.Caching;

/// <summary>
/// The kept responses: in the memory of this process up to <c>cache.maxBytes</c>, and in Redis if there is one. Redis never delays a call
/// for long: a read waits a moment for it, and writes go on in the background. Thread-safe.
/// </summary>
internal sealed class OutputCache(IConfigurationSource configuration, RedisLevel redis, CacheMetrics metrics, TimeProvider time,
    ILogger<OutputCache> logger) : IDisposable
{
    /// <summary>Longest wait of a call for the second level.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromMilliseconds(100);

    /// <summary>How long the second level is left alone after it failed.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(2);

    private static readonly FusionCacheEntryOptions InMemory = Options(TimeSpan.FromMinutes(1));

    private static readonly FusionCacheEntryOptions InRedis = Options(TimeSpan.FromMinutes(1));

    private readonly Lock _gate = new();
    private Levels? _levels;

    /// <summary>The response that is kept under a key, or null. It may have expired by the clock of the calls.</summary>
    public async ValueTask<CachedOutput?> FindAsync(string key, CancellationToken cancellationToken)
    {
        var cache = Current().Cache;
        var found = await cache.TryGetAsync<CachedOutput>(key, InMemory, cancellationToken);
        if (found.HasValue) return found.Value;
        if (!redis.IsAvailable) return null;
        found = await cache.TryGetAsync<CachedOutput>(key, InRedis, cancellationToken);
        if (!found.HasValue) return null;
        var left = found.Value.ExpiresAt - time.GetUtcNow();
        if (left <= TimeSpan.Zero) return null;
        // Its size is known only now.
        var options = Options(left);
        options.Size = found.Value.Size;
        options.SkipDistributedCacheWrite = true;
        cache.Set(key, found.Value, options, token: CancellationToken.None);
        return found.Value;
    }

    /// <summary>Keeps a response until it expires.</summary>
    public void Store(string key, CachedOutput output)
    {
        var left = output.ExpiresAt - time.GetUtcNow();
        if (left <= TimeSpan.Zero) return;
        var options = Options(left);
        options.Size = output.Size;
        options.SkipDistributedCacheWrite = !redis.IsAvailable;
        // It is in memory when this returns. Redis gets it in the background, and errors there are not of interest to the call.
        var written = Current().Cache.SetAsync(key, output, options);
        if (!written.IsCompletedSuccessfully) _ = written.AsTask();
        metrics.Stored();
    }

    /// <summary>Removes a response. From Redis in the background.</summary>
    public void Remove(string key)
    {
        var options = Options(TimeSpan.FromMinutes(1));
        options.SkipDistributedCacheWrite = !redis.IsAvailable;
        var removed = Current().Cache.RemoveAsync(key, options);
        if (!removed.IsCompletedSuccessfully) _ = removed.AsTask();
    }

    /// <summary>Removes the responses from memory whose keys are from before a deletion.</summary>
    public void Sweep(DeletionCounts known)
    {
        if (Volatile.Read(ref _levels) is not { } levels) return;
        foreach (var key in levels.Memory.Keys)
        {
            if (key is string text && CacheKeys.IsDeleted(text, known)) levels.Memory.Remove(key);
        }
    }

    /// <summary>How many responses of a project are in memory.</summary>
    public int CountOf(string projectId)
    {
        if (Volatile.Read(ref _levels) is not { } levels) return 0;
        return levels.Memory.Keys.Count(key => key is string text && CacheKeys.IsOf(text, projectId));
    }

    public void Dispose() => _levels?.Dispose();

    private Levels Current()
    {
        var maxBytes = configuration.Current.Cache.MaxBytes;
        if (Volatile.Read(ref _levels) is { } known && known.MaxBytes == maxBytes) return known;
        lock (_gate)
        {
            if (_levels is { } made && made.MaxBytes == maxBytes) return made;
            // Calls may still read the one before it, which is then collected with its content.
            var levels = Make(maxBytes);
            Volatile.Write(ref _levels, levels);
            return levels;
        }
    }

    private Levels Make(long maxBytes)
    {
        var memory = new MemoryCache(new MemoryCacheOptions { SizeLimit = maxBytes });
        var cache = new FusionCache(
            new FusionCacheOptions
            {
                CacheName = "fairlead",
                DefaultEntryOptions = Options(configuration.Current.Cache.Ttl),
                DisableTagging = true,
                EnableAutoRecovery = false,
                DistributedCacheCircuitBreakerDuration = Pause,
                DistributedCacheErrorsLogLevel = LogLevel.Debug,
                DistributedCacheSyntheticTimeoutsLogLevel = LogLevel.Debug,
                SerializationErrorsLogLevel = LogLevel.Debug,
                EnableBestPracticesAdvisor = false,
            },
            memory, logger: null);
        if (redis.IsConfigured) cache.SetupDistributedCache(redis, new CachedOutputSerializer());
        logger.LevelsMade(maxBytes, redis.IsConfigured);
        return new Levels(cache, memory, maxBytes);
    }

    private static FusionCacheEntryOptions Options(TimeSpan duration) => new(duration)
    {
        DistributedCacheHardTimeout = MaxWait,
        DistributedCacheSoftTimeout = MaxWait,
        AllowBackgroundDistributedCacheOperations = true,
        ReThrowDistributedCacheExceptions = false,
        ReThrowSerializationExceptions = false,
        SkipBackplaneNotifications = true,
    };

    static OutputCache()
    {
        InMemory.SkipDistributedCacheRead = true;
        InRedis.SkipMemoryCacheWrite = true;
    }

    private sealed record Levels(FusionCache Cache, MemoryCache Memory, long MaxBytes) : IDisposable
    {
        public void Dispose()
        {
            Cache.Dispose();
            Memory.Dispose();
        }
    }
}
