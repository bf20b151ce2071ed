using Microsoft.Extensions.Logging;

namespace Fairlead.Generations;

internal static partial class JobsLog
{
    [LoggerMessage(11001, LogLevel.Warning, "The queue of jobs cannot be used now: {Fault}")]
    public static partial void StoreAway(ILogger logger, string fault);

    [LoggerMessage(11002, LogLevel.Error, "The result of generation {GenerationId} could not be kept")]
    public static partial void RunLost(ILogger logger, string generationId, Exception exception);

    [LoggerMessage(11003, LogLevel.Information, "Run {Run} of generation {GenerationId} failed with {Error}; it is run again in {Seconds:0.#} s")]
    public static partial void RunAgain(ILogger logger, string generationId, int run, string error, double seconds);

    [LoggerMessage(11004, LogLevel.Warning, "Run {Run} of generation {GenerationId} ended after another node had taken over; its result is dropped")]
    public static partial void TakenOver(ILogger logger, string generationId, int run);

    [LoggerMessage(11006, LogLevel.Warning, "Run {Run} of generation {GenerationId} could not renew its lease and stops before another node may take it over")]
    public static partial void NotRenewed(ILogger logger, string generationId, int run);

    [LoggerMessage(11005, LogLevel.Error, "The events of generation {GenerationId} cannot be followed any more")]
    public static partial void FollowingBroke(ILogger logger, string generationId, Exception exception);
}
