using Microsoft.Extensions.Logging;

namespace Fairlead.Routing;

internal static partial class RoutingLog
{
    [LoggerMessage(8001, LogLevel.Warning,
        "Call {RequestId}: attempt {Attempt} at {Deployment} failed with {Error} (provider status {Status})")]
    public static partial void AttemptFailed(ILogger logger, string requestId, int attempt, string deployment, string error, int? status);

    [LoggerMessage(8002, LogLevel.Error,
        "Call {RequestId}: the spool cannot be written, so the call is not sent; check free space and permissions of the data directory")]
    public static partial void SpoolUnavailable(ILogger logger, string requestId, Exception exception);

    [LoggerMessage(8003, LogLevel.Error,
        "Deployment {Deployment} failed repeatedly and is open: calls go elsewhere. One call every {Seconds} s tests it")]
    public static partial void BreakerOpened(ILogger logger, string deployment, double seconds);

    [LoggerMessage(8005, LogLevel.Warning, "The probe of {Deployment} failed")]
    public static partial void ProbeFailed(ILogger logger, string deployment);

    [LoggerMessage(8006, LogLevel.Error, "The probe of {Deployment} could not be made")]
    public static partial void ProbeBroken(ILogger logger, string deployment, Exception exception);

    [LoggerMessage(8007, LogLevel.Error,
        "The probe of {Deployment} still runs after {Seconds} s, because its provider ignores cancellation. No other probe is made until it "
        + "ends, and calls test the deployment")]
    public static partial void ProbeHangs(ILogger logger, string deployment, double seconds);

    [LoggerMessage(8004, LogLevel.Information, "Deployment {Deployment} responds again and is closed: calls go there")]
    public static partial void BreakerClosed(ILogger logger, string deployment);
}
