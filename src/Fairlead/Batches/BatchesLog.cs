using Microsoft.Extensions.Logging;

namespace Fairlead.Batches;

internal static partial class BatchesLog
{
    [LoggerMessage(16001, LogLevel.Warning, "Batches cannot be read or written: {Error}")]
    public static partial void StoreUnavailable(ILogger logger, string error);

    [LoggerMessage(16002, LogLevel.Error, "Batch {BatchId} failed to advance; retrying")]
    public static partial void StepFailed(ILogger logger, string batchId, Exception exception);
}
