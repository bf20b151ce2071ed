using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Files;

/// <summary>Removes, once a minute, the content of files that expired, were deleted or never came whole.</summary>
internal sealed class FileSweeper(FileStore store, IFileContents contents, TimeProvider time, ILogger<FileSweeper> logger) : BackgroundService
{
    private static readonly TimeSpan Period = TimeSpan.FromMinutes(1);

    /// <summary>Removes all there is to remove now.</summary>
    public async Task SweepAsync(CancellationToken cancellationToken)
    {
        while (await store.ExpiredAsync(cancellationToken) is { Count: > 0 } expired)
        {
            foreach (var id in expired) await RemoveAsync(id, cancellationToken);
        }
    }

    /// <summary>Removes a file that was deleted and that nobody holds. What cannot be removed now goes with the next sweep.</summary>
    public async Task TryRemoveAsync(string id)
    {
        try
        {
            await RemoveAsync(id, CancellationToken.None);
        }
        catch (Exception exception) when (StorageFaults.IsStoreFault(exception) || exception is IOException or UnauthorizedAccessException)
        {
            FilesLog.StoreAway(logger, StorageFaults.Describe(exception));
        }
    }

    private async Task RemoveAsync(string id, CancellationToken cancellationToken)
    {
        // The content first: as long as the row is there, what is left of it will be found.
        await contents.DeleteAsync(id, cancellationToken);
        await store.ForgetAsync(id, cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    await SweepAsync(stoppingToken);
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    FilesLog.StoreAway(logger, StorageFaults.Describe(exception));
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }
}
