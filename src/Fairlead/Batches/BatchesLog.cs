using Microsoft.Extensions.Logging;

namespace Fairlead.Batches;

internal static partial class BatchesLog
{
    [LoggerMessage(16001, LogLevel.Warning, "Batches cannot be read or written now: {Fault}")]
    public static partial void StoreAway(ILogger logger, string fault);

    [LoggerMessage(16002, LogLevel.Error, "Batch {BatchId} could not be gone on with; it is tried again")]
    public static partial void StepFailed(ILogger logger, string batchId, Exception exception);
}
