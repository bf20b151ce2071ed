using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>Deletes expired generations once a minute.</summary>
internal sealed class GenerationExpiry(GenerationDeletion deletion, TimeProvider time, ILogger<GenerationExpiry> logger) : BackgroundService
{
    private static readonly TimeSpan Period = TimeSpan.FromMinutes(1);

    /// <summary>An expired generation is not found any more, but a reader that started before has this time to finish.</summary>
    private static readonly TimeSpan ReadingTime = TimeSpan.FromMinutes(5);

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
            while (await deletion.DeleteExpiredAsync(time.GetUtcNow() - ReadingTime, cancellationToken) > 0)
            {
                // In batches, so that no other writer waits long for the lock.
            }
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception))
        {
            JobsLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
        }
    }
}
