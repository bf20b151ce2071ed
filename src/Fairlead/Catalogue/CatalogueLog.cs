using Microsoft.Extensions.Logging;

namespace Fairlead.Catalogue;

internal static partial class CatalogueLog
{
    [LoggerMessage(3001, LogLevel.Information, "The catalogue was reloaded; {Models} models are on offer")]
    public static partial void Reloaded(ILogger logger, int models);

    [LoggerMessage(3002, LogLevel.Error, "The catalogue was not reloaded; the running one stays. {Errors}")]
    public static partial void Refused(ILogger logger, string errors);
}
