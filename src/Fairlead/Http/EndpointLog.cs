using Microsoft.Extensions.Logging;

namespace Fairlead.Http;

internal static partial class EndpointLog
{
    [LoggerMessage(2102, LogLevel.Error, "The store failed during a request ({Error})")]
    public static partial void StoreFailed(ILogger logger, string error);
}
