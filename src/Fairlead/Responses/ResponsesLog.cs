using Microsoft.Extensions.Logging;

namespace Fairlead.Responses;

internal static partial class ResponsesLog
{
    [LoggerMessage(14001, LogLevel.Warning, "Expired responses could not be deleted: {Reason}")]
    public static partial void RetentionFailed(ILogger logger, string reason);

    [LoggerMessage(14002, LogLevel.Error, "The response of request {RequestId} could not be stored: {Reason}")]
    public static partial void NotKept(ILogger logger, string requestId, string reason);

    [LoggerMessage(14003, LogLevel.Error, "A response on a WebSocket could not be sent")]
    public static partial void TurnFailed(ILogger logger, Exception exception);

    [LoggerMessage(14004, LogLevel.Debug, "A message on a WebSocket waits until the call of request {RequestId} has ended")]
    public static partial void WaitsForTurn(ILogger logger, string requestId);
}
