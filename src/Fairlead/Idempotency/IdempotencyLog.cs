using Microsoft.Extensions.Logging;

namespace Fairlead.Idempotency;

internal static partial class IdempotencyLog
{
    [LoggerMessage(5001, LogLevel.Warning, "Idempotency keys cannot be read or written: {Error}")]
    public static partial void StoreUnavailable(ILogger logger, string error);
}
