using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue.Stored;

internal static partial class StoredProvidersLog
{
    [LoggerMessage(23101, LogLevel.Error, "Key {KeyId} of the provider {Provider} is not used: it cannot be decrypted ({Error})")]
    public static partial void SecretUnreadable(ILogger logger, string keyId, string provider, string error);

    [LoggerMessage(23102, LogLevel.Error, "Stored providers cannot be read; those that were read last stay in force ({Error})")]
    public static partial void Unreadable(ILogger logger, string error);

    [LoggerMessage(23103, LogLevel.Information, "Stored providers are read again")]
    public static partial void Recovered(ILogger logger);

    [LoggerMessage(23104, LogLevel.Information, "{Action} provider {Provider} by key {KeyId}")]
    public static partial void ProviderChanged(ILogger logger, string action, string provider, string keyId);

    [LoggerMessage(23105, LogLevel.Information, "{Action} key {ProviderKeyId} of provider {Provider} by key {KeyId}")]
    public static partial void KeyChanged(ILogger logger, string action, string providerKeyId, string provider, string keyId);

    [LoggerMessage(23107, LogLevel.Error,
        "The provider {Provider} is in the configuration and was stored before; that of the configuration is used. Delete the other one")]
    public static partial void NamedTwice(ILogger logger, string provider);

    [LoggerMessage(23106, LogLevel.Error, "The catalogue is built without stored providers: {Errors}")]
    public static partial void LeftOut(ILogger logger, string errors);
}
