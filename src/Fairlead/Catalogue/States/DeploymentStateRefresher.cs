using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue.States;

/// <summary>Reads the states of deployments before the server listens, then once a second, because another node may have changed them.</summary>
internal sealed class DeploymentStateRefresher(DeploymentStateStore store, TimeProvider time, ILogger<DeploymentStateRefresher> logger)
    : BackgroundService
{
    /// <summary>Half of the two seconds within which a change is in force on every node; the other half is for reading.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await store.RefreshAsync(cancellationToken);
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
                    await store.RefreshAsync(stoppingToken);
                    if (isFailing) CatalogueLog.StatesRecovered(logger);
                    isFailing = false;
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    // Once per outage, not once per second.
                    if (!isFailing) CatalogueLog.StatesUnreadable(logger, exception);
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
