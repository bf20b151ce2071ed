using Microsoft.Extensions.Logging;

namespace Fairlead.Storage;

// Errors are texts of StorageErrors.Describe, not exceptions: a driver may put values and addresses into those.
internal static partial class StorageLog
{
    [LoggerMessage(10001, LogLevel.Warning, "Database notifications unavailable ({Error}); changes are found by polling")]
    public static partial void NotificationsUnavailable(this ILogger logger, string error);

    [LoggerMessage(10002, LogLevel.Information, "Database notifications available again")]
    public static partial void NotificationsAvailable(this ILogger logger);

    [LoggerMessage(10003, LogLevel.Warning, "Database notifications not sent ({Error}); other nodes find changes by polling")]
    public static partial void NotificationsNotSent(this ILogger logger, string error);

    [LoggerMessage(10004, LogLevel.Information, "Applied {Steps} schema step(s) to the database")]
    public static partial void SchemaApplied(this ILogger logger, int steps);
}
