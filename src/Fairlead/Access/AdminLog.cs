using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

internal static partial class AdminLog
{
    [LoggerMessage(2101, LogLevel.Information, "{Action} {Id} by key {KeyId}")]
    public static partial void Changed(ILogger logger, string action, string id, string keyId);
}
