using Microsoft.Extensions.Logging;

namespace Fairlead.Rescue;

internal static partial class RescueLog
{
    [LoggerMessage(18001, LogLevel.Warning,
        "Call {RequestId}: the stream of {Deployment} was lost with {Error}; another run is compared with what was sent")]
    public static partial void Started(ILogger logger, string requestId, string deployment, string error);

    [LoggerMessage(18002, LogLevel.Information, "Call {RequestId}: the stream is continued by {Deployment}")]
    public static partial void Continued(ILogger logger, string requestId, string deployment);

    [LoggerMessage(18003, LogLevel.Warning, "Call {RequestId}: the stream cannot be continued: {Reason}")]
    public static partial void GivenUp(ILogger logger, string requestId, string reason);

    [LoggerMessage(18004, LogLevel.Warning,
        "Call {RequestId}: {Deployment} did not continue the text that it got, but started again; see 'continuesTurn' of providers")]
    public static partial void StartedAgain(ILogger logger, string requestId, string deployment);
}
