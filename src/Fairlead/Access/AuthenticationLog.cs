using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

internal static partial class AuthenticationLog
{
    [LoggerMessage(1001, LogLevel.Debug, "Knows {Secrets} secrets of keys at revision {Revision}")]
    public static partial void SnapshotLoaded(ILogger logger, int secrets, long revision);

    [LoggerMessage(1002, LogLevel.Error, "The keys could not be read again; those known before stay valid until the store answers")]
    public static partial void RefreshFailed(ILogger logger, Exception fault);

    [LoggerMessage(1003, LogLevel.Information, "The keys can be read again")]
    public static partial void RefreshRecovered(ILogger logger);

    [LoggerMessage(1004, LogLevel.Error, "Key {KeyId} is refused because its record cannot be understood: {Fault}")]
    public static partial void KeyUnreadable(ILogger logger, string keyId, string fault);

    [LoggerMessage(1005, LogLevel.Information, "First start: made the organization, project and key 'default'")]
    public static partial void FirstKeysMade(ILogger logger);
}
