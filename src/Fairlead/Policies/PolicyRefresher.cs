using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Policies;

/// <summary>
/// Reads the policies before the server listens, then checks once a second whether a node or the configuration changed them.
/// </summary>
internal sealed class PolicyRefresher(PolicyBook policies, TimeProvider time, ILogger<PolicyRefresher> logger) : BackgroundService
{
    /// <summary>Half of the two seconds within which a change is in force; the other half is for reading.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>A server that does not know its policies does not start.</summary>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await policies.RefreshAsync(cancellationToken);
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
                    await policies.RefreshAsync(stoppingToken);
                    if (isFailing) PolicyLog.RefreshRecovered(logger);
                    isFailing = false;
                }
                catch (Exception exception) when (StorageErrors.IsStoreError(exception))
                {
                    // Once per outage, not once per second.
                    if (!isFailing) PolicyLog.RefreshFailed(logger, StorageErrors.Describe(exception));
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
