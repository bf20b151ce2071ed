using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>Forgets results whose time is over, once a minute.</summary>
internal sealed class GenerationExpiry(GenerationDeletion deletion, TimeProvider time, ILogger<GenerationExpiry> logger) : BackgroundService
{
    private static readonly TimeSpan Period = TimeSpan.FromMinutes(1);

    /// <summary>Nobody finds a result any more from its time on; who has begun to read it by then may read on this long.</summary>
    private static readonly TimeSpan Reading = TimeSpan.FromMinutes(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) await SweepAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    internal async Task SweepAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (await deletion.DeleteExpiredAsync(time.GetUtcNow() - Reading, cancellationToken) > 0)
            {
                // In pieces, so that nobody waits long for the write lock.
            }
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception))
        {
            JobsLog.StoreUnavailable(logger, StorageFaults.Describe(exception));
        }
    }
}
