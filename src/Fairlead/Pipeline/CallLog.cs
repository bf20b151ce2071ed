using Microsoft.Extensions.Logging;

namespace Fairlead.Pipeline;

internal static partial class CallLog
{
    [LoggerMessage(1001, LogLevel.Error, "Call {RequestId}: its audit record could not be written; check free space and permissions of the data directory")]
    public static partial void RecordLost(ILogger logger, string requestId, Exception exception);

    [LoggerMessage(1002, LogLevel.Error, "Call {RequestId} failed inside the gateway")]
    public static partial void Unexpected(ILogger logger, string requestId, Exception exception);

    [LoggerMessage(1003, LogLevel.Debug, "Call {RequestId}: {Endpoint} for {Model} ended {Outcome} with status {Status} after {Milliseconds} ms")]
    public static partial void Ended(ILogger logger, string requestId, string endpoint, string model, string outcome, int status, double milliseconds);

    [LoggerMessage(1006, LogLevel.Information, "Call {RequestId} is {ClientRequestId} to its caller")]
    public static partial void NamedByTheCaller(ILogger logger, string requestId, string clientRequestId);

    [LoggerMessage(1007, LogLevel.Information, "Call {RequestId}: its client reads too slowly and is cut off; the generation goes on")]
    public static partial void ClientTooSlow(ILogger logger, string requestId);

    [LoggerMessage(1005, LogLevel.Error, "Call {RequestId}: its usage could not be computed; it is recorded with what was known")]
    public static partial void EndingFailed(ILogger logger, string requestId, Exception exception);

    [LoggerMessage(1004, LogLevel.Debug, "Call {RequestId}: the sweep could not reach its stream")]
    public static partial void SweepFailed(ILogger logger, string requestId, Exception exception);
}
