using Microsoft.Extensions.Logging;

namespace Fairlead.Webhooks;

internal static partial class KeyExpiryLog
{
    [LoggerMessage(23201, LogLevel.Warning, "Keys that expire could not be announced; trying again later ({Error})")]
    public static partial void NotSent(ILogger logger, string error);
}
