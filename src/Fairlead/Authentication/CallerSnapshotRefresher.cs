using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Authentication;

/// <summary>Loads the snapshot before the server listens, then looks once a second whether another process changed the store.</summary>
internal sealed class CallerSnapshotRefresher(CallerSnapshots snapshots, TimeProvider time, ILogger<CallerSnapshotRefresher> logger) : BackgroundService
{
    /// <summary>Half of the two seconds in which a revocation must be seen; the other half is for reading.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        // A store that cannot be read at start is a fault of the installation: better said now than at the first call.
        if (snapshots.Current is null) await snapshots.ReloadAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        var failing = false;
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    await snapshots.RefreshAsync(stoppingToken);
                    if (failing) AuthenticationLog.RefreshRecovered(logger);
                    failing = false;
                }
                catch (Exception fault) when (fault is not OperationCanceledException)
                {
                    // Once per outage, not once per second.
                    if (!failing) AuthenticationLog.RefreshFailed(logger, fault);
                    failing = true;
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }
}
