using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue;

internal static partial class CatalogueLog
{
    [LoggerMessage(3001, LogLevel.Information, "Catalogue reloaded: {Models} models available")]
    public static partial void Reloaded(ILogger logger, int models);

    [LoggerMessage(3002, LogLevel.Error, "Catalogue not reloaded, the running catalogue stays. {Errors}")]
    public static partial void Refused(ILogger logger, string errors);
}
