using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

/// <summary>
/// Repeats writes that must not be lost, such as a result that is paid for, while the database is unavailable. Thread-safe.
/// </summary>
internal sealed class WriteRetry(DrainState drain, TimeProvider time, ILogger<WriteRetry> logger)
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Runs <paramref name="write"/> until the database takes it. After the drain limit, the first failure is thrown: the process must
    /// stop.
    /// </summary>
    /// <param name="write">The write. Repeated after a lost response, it must write nothing twice.</param>
    public async Task<T> RunAsync<T>(Func<Task<T>> write)
    {
        while (true)
        {
            try
            {
                return await write();
            }
            catch (Exception exception) when (StorageErrors.IsStoreError(exception) && !drain.LimitReached.IsCancellationRequested)
            {
                JobsLog.StoreUnavailable(logger, StorageErrors.Describe(exception));
            }
            await Task.Delay(Pause, time, CancellationToken.None);
        }
    }
}
