using Fairlead.Storage;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Files;

/// <summary>Removes, once a minute, the content of files that expired, were deleted or were never completed.</summary>
internal sealed class FileSweeper(FileStore store, IFileContents contents, TimeProvider time, ILogger<FileSweeper> logger)
    : BackgroundService
{
    private static readonly TimeSpan Period = TimeSpan.FromMinutes(1);

    /// <summary>Removes everything that can be removed now.</summary>
    public async Task SweepAsync(CancellationToken cancellationToken)
    {
        while (await store.ExpiredAsync(cancellationToken) is { Count: > 0 } expired)
        {
            foreach (var id in expired) await RemoveAsync(id, cancellationToken);
        }
    }

    /// <summary>Removes a deleted file that nothing holds. If it cannot be removed now, the next sweep does.</summary>
    public async Task TryRemoveAsync(string id)
    {
        try
        {
            await RemoveAsync(id, CancellationToken.None);
        }
        catch (Exception exception) when (StorageErrors.IsStoreError(exception) || exception is IOException or UnauthorizedAccessException)
        {
            FilesLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
        }
    }

    private async Task RemoveAsync(string id, CancellationToken cancellationToken)
    {
        // The content first: as long as the row exists, the rest of the content can be found.
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
                    FilesLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }
}
