using Fairlead.Configuration;
using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Caching;

/// <summary>Reads the deletions of other nodes once a second, while there is a cache.</summary>
internal sealed class CacheDeletionsRefresher(
    CacheDeletions deletions, IConfigurationSource configuration, TimeProvider time, ILogger<CacheDeletionsRefresher> logger) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private bool _isFailing;

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
            while (await timer.WaitForNextTickAsync(stoppingToken)) await RefreshAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
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
