using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

internal static partial class JobsLog
{
    [LoggerMessage(11001, LogLevel.Warning, "The database of the jobs is unavailable: {Error}")]
    public static partial void StoreUnavailable(ILogger logger, string error);

    [LoggerMessage(11002, LogLevel.Error, "The result of generation {GenerationId} could not be stored")]
    public static partial void ResultNotStored(ILogger logger, string generationId, Exception exception);

    [LoggerMessage(11003, LogLevel.Information, "Run {Run} of generation {GenerationId} failed with {Error}; retrying in {Seconds:0.#} s")]
    public static partial void Retrying(ILogger logger, string generationId, int run, string error, double seconds);

    [LoggerMessage(
        11004, LogLevel.Warning, "Run {Run} of generation {GenerationId} ended after another run took over; its result is discarded")]
    public static partial void TakenOver(ILogger logger, string generationId, int run);

    [LoggerMessage(11005, LogLevel.Error, "The stored events of generation {GenerationId} cannot be read")]
    public static partial void EventsUnreadable(ILogger logger, string generationId, Exception exception);

    [LoggerMessage(
        11006, LogLevel.Warning,
        "Run {Run} of generation {GenerationId} could not renew its lease and stops before another node takes over")]
    public static partial void LeaseNotRenewed(ILogger logger, string generationId, int run);

    [LoggerMessage(
        11007, LogLevel.Debug, "Run {Run} of generation {GenerationId} waits for {Error} and is back in the queue for {Seconds:0.#} s")]
    public static partial void Postponed(ILogger logger, string generationId, int run, string error, double seconds);
}
