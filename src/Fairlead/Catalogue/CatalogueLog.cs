using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue;

internal static partial class CatalogueLog
{
    [LoggerMessage(3001, LogLevel.Information, "Catalogue reloaded: {Models} models available")]
    public static partial void Reloaded(ILogger logger, int models);

    [LoggerMessage(3002, LogLevel.Error, "Catalogue not reloaded, the running catalogue stays. {Errors}")]
    public static partial void Refused(ILogger logger, string errors);

    [LoggerMessage(3003, LogLevel.Warning, "States of deployments cannot be read from the database; those that were read last stay in force")]
    public static partial void StatesUnreadable(ILogger logger, Exception exception);

    [LoggerMessage(3005, LogLevel.Information, "Deployment {Deployment} is {State} now, by key {KeyId}")]
    public static partial void StateChanged(ILogger logger, string deployment, string state, string keyId);

    [LoggerMessage(3004, LogLevel.Information, "States of deployments are read from the database again")]
    public static partial void StatesRecovered(ILogger logger);
}
