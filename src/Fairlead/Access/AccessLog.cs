using Microsoft.Extensions.Logging;

namespace Fairlead.Access;

internal static partial class AccessLog
{
    [LoggerMessage(23001, LogLevel.Warning,
        "More than {Max} wrong keys in a minute from {Address}; unknown keys from there are refused for a minute")]
    public static partial void TooManyWrongKeys(ILogger logger, string address, int max);

    [LoggerMessage(23004, LogLevel.Warning, "When keys were used last could not be stored; trying again in a minute ({Error})")]
    public static partial void UsesNotStored(ILogger logger, string error);

    [LoggerMessage(23002, LogLevel.Information, "Read {Count} signing keys of the issuer {Issuer}")]
    public static partial void IssuerKeysRead(ILogger logger, string issuer, int count);

    [LoggerMessage(23003, LogLevel.Warning, "The signing keys of the issuer {Issuer} cannot be read ({Error}); those read before stay in use")]
    public static partial void IssuerUnavailable(ILogger logger, string issuer, string error);
}
