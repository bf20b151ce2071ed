using Fairlead.Configuration;
using Fairlead.Limits.Redis;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Caching;

/// <summary>
/// Reads the deletions of other nodes once a second, while there is a cache. Some seconds after a deletion of this node, it removes from
/// Redis what calls in progress had still kept there.
/// </summary>
internal sealed class CacheDeletionsRefresher(
    CacheDeletions deletions, OutputCache cache, RedisLevel redis, IConfigurationSource configuration, TimeProvider time, ILogger<CacheDeletionsRefresher> logger) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private bool _isFailing;
    private Task _removal = Task.CompletedTask;

    /// <summary>A database that is unavailable does not keep the server from starting: there is no cache until it responds.</summary>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await RefreshAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await RefreshAsync(stoppingToken);
                // Beside the timer: a large Redis takes longer to scan than the deletions may be old.
                if (_removal.IsCompleted && deletions.TakeSettled() is { } known) _removal = RemoveAsync(known, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
        await _removal;
    }

    private async Task RemoveAsync(DeletionCounts known, CancellationToken cancellationToken)
    {
        cache.Sweep(known);
        if (!redis.IsConfigured) return;
        try
        {
            await redis.RemoveAllAsync("*", key => CacheKeys.IsDeleted(key, known), cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The server stops.
        }
        catch (Exception exception) when (RedisErrors.IsUnavailable(exception))
        {
            CacheLog.NotRemoved(logger, RedisErrors.Describe(exception));
        }
    }

    private async Task RefreshAsync(CancellationToken cancellationToken)
    {
        if (!configuration.Current.Cache.Enabled) return;
        try
        {
            await deletions.RefreshAsync(cancellationToken);
            if (_isFailing) CacheLog.DeletionsAvailable(logger);
            _isFailing = false;
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            // Once per outage, not once per second.
            if (!_isFailing) CacheLog.DeletionsUnavailable(logger, exception.GetType().Name);
            _isFailing = true;
        }
    }
}
