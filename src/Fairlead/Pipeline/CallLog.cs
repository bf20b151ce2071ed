using Microsoft.Extensions.Logging;

namespace Fairlead.Pipeline;

internal static partial class CallLog
{
    [LoggerMessage(
        1001, LogLevel.Error, "Audit record of call {RequestId} not written; check free space and permissions of the data directory")]
    public static partial void RecordLost(ILogger logger, string requestId, Exception exception);

    [LoggerMessage(1002, LogLevel.Error, "Call {RequestId} failed inside the gateway")]
    public static partial void Unexpected(ILogger logger, string requestId, Exception exception);

    [LoggerMessage(
        1003, LogLevel.Debug, "Call {RequestId}: {Endpoint} for {Model} ended {Outcome} with status {Status} after {Milliseconds} ms")]
    public static partial void Ended(
        ILogger logger, string requestId, string endpoint, string model, string outcome, int status, double milliseconds);

    [LoggerMessage(1006, LogLevel.Information, "Call {RequestId} has the client request id {ClientRequestId}")]
    public static partial void NamedByTheCaller(ILogger logger, string requestId, string clientRequestId);

    [LoggerMessage(1007, LogLevel.Information, "Client of call {RequestId} reads too slowly and is disconnected; the generation continues")]
    public static partial void ClientTooSlow(ILogger logger, string requestId);

    [LoggerMessage(1005, LogLevel.Error, "Usage of call {RequestId} not computed; the call is recorded with what is known")]
    public static partial void EndingFailed(ILogger logger, string requestId, Exception exception);

    [LoggerMessage(1004, LogLevel.Debug, "Keep-alive or checkpoint for the stream of call {RequestId} failed")]
    public static partial void SweepFailed(ILogger logger, string requestId, Exception exception);
}
