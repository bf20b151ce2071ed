using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

internal static partial class AuthenticationLog
{
    [LoggerMessage(2001, LogLevel.Debug, "Loaded {Secrets} key secrets at revision {Revision}")]
    public static partial void SnapshotLoaded(ILogger logger, int secrets, long revision);

    [LoggerMessage(2002, LogLevel.Error, "Keys could not be refreshed; the keys loaded before stay valid until the store is available")]
    public static partial void RefreshFailed(ILogger logger, Exception exception);

    [LoggerMessage(2003, LogLevel.Information, "Keys are refreshed again")]
    public static partial void RefreshRecovered(ILogger logger);

    [LoggerMessage(2004, LogLevel.Error, "Key {KeyId} is refused because its record is invalid: {Error}")]
    public static partial void KeyUnreadable(ILogger logger, string keyId, string error);

    [LoggerMessage(2005, LogLevel.Information, "First start: created the organization, project and key 'default'")]
    public static partial void FirstKeysCreated(ILogger logger);
}
