using Microsoft.Extensions.Logging;

namespace Fairlead.Telemetry;

internal static partial class TelemetryLog
{
    [LoggerMessage(13001, LogLevel.Information, "Shutting down: no new calls, {Active} calls in progress have {Seconds} s to finish")]
    public static partial void Draining(this ILogger logger, int active, double seconds);

    [LoggerMessage(13002, LogLevel.Warning, "Drain limit reached: ending {Active} calls")]
    public static partial void DrainLimitReached(this ILogger logger, int active);
}
