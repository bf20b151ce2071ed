using Microsoft.Extensions.Logging;

namespace Fairlead.Files;

internal static partial class FilesLog
{
    [LoggerMessage(15001, LogLevel.Warning, "Files cannot be stored or read: {Error}")]
    public static partial void StoreUnavailable(ILogger logger, string error);
}
