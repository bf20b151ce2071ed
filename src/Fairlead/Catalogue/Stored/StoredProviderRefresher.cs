using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue.Stored;

/// <summary>Reads the stored providers before the server listens, then once a second, because another node may have changed them.</summary>
internal sealed class StoredProviderRefresher(StoredProviders providers, TimeProvider time, ILogger<StoredProviders> logger)
    : BackgroundService
{
    /// <summary>Half of the two seconds within which a change is in force on every node; the other half is for reading.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await providers.RefreshAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        var isFailing = false;
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    await providers.RefreshAsync(stoppingToken);
                    if (isFailing) StoredProvidersLog.Recovered(logger);
                    isFailing = false;
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    // Once per outage, not once per second.
                    if (!isFailing) StoredProvidersLog.Unreadable(logger, exception.Message);
                    isFailing = true;
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }
}
