using Microsoft.Extensions.Logging;

namespace Fairlead.Files;

internal static partial class FilesLog
{
    [LoggerMessage(15001, LogLevel.Warning, "Files cannot be kept or read now: {Fault}")]
    public static partial void StoreAway(ILogger logger, string fault);
}
