using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

/// <summary>Loads the snapshot before the server listens, then checks once a second whether another process changed the store.</summary>
internal sealed class CallerSnapshotRefresher(CallerSnapshots snapshots, TimeProvider time, ILogger<CallerSnapshotRefresher> logger)
    : BackgroundService
{
    /// <summary>Half of the two seconds within which a revocation must take effect; the other half is for reading.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>A check that takes longer means that the store does not respond. The check itself continues.</summary>
    public static readonly TimeSpan CheckTimeout = TimeSpan.FromSeconds(5);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        // A store that cannot be read at start is an installation error. Reported now, not at the first call.
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
                    await CheckAsync(stoppingToken);
                    snapshots.IsStale = false;
                    if (failing) AuthenticationLog.RefreshRecovered(logger);
                    failing = false;
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    snapshots.IsStale = true;
                    // Once per outage, not once per second.
                    if (!failing) AuthenticationLog.RefreshFailed(logger, exception);
                    failing = true;
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    private async Task CheckAsync(CancellationToken stoppingToken)
    {
        var check = snapshots.RefreshAsync(stoppingToken);
        try
        {
            await check.WaitAsync(CheckTimeout, time, stoppingToken);
        }
        catch (TimeoutException) when (!check.IsCompleted)
        {
            snapshots.IsStale = true;
            await check;
        }
    }
}
