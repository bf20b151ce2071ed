using Microsoft.Extensions.Logging;

namespace Fairlead.Storage;

// Faults come as StorageErrors.Describe gives them, not as exceptions: what a driver puts into those is not ours to vouch for.
internal static partial class StorageLog
{
    [LoggerMessage(10001, LogLevel.Warning, "Notices of other nodes are not heard for now ({Fault}); changes are still found by looking")]
    public static partial void ListeningLost(this ILogger logger, string fault);

    [LoggerMessage(10002, LogLevel.Information, "Notices of other nodes are heard again")]
    public static partial void ListeningAgain(this ILogger logger);

    [LoggerMessage(10003, LogLevel.Warning, "Notices for other nodes could not be sent ({Fault}); they find changes by looking")]
    public static partial void NoticesNotSent(this ILogger logger, string fault);

    [LoggerMessage(10004, LogLevel.Information, "Applied {Steps} schema step(s) to the database")]
    public static partial void SchemaApplied(this ILogger logger, int steps);
}
