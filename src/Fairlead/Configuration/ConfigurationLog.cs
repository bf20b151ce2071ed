using Microsoft.Extensions.Logging;

namespace Fairlead.Configuration;

internal static partial class ConfigurationLog
{
    [LoggerMessage(4001, LogLevel.Information, "Configuration reloaded")]
    public static partial void ConfigurationReloaded(this ILogger logger);

    [LoggerMessage(4002, LogLevel.Error, "Changed configuration refused, the running configuration stays; {Count} errors: {Errors}")]
    public static partial void ConfigurationRefused(this ILogger logger, int count, string errors);

    [LoggerMessage(4003, LogLevel.Warning, "{Key} changed in the configuration; it takes effect at the next start")]
    public static partial void ConfigurationNeedsRestart(this ILogger logger, string key);

    [LoggerMessage(4004, LogLevel.Error, "A part of the gateway failed to apply the changed configuration")]
    public static partial void ConfigurationReaderFailed(this ILogger logger, Exception failure);
}
