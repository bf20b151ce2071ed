using Microsoft.Extensions.Logging;

namespace Fairlead.Auditing.Content;

internal static partial class ContentLog
{
    [LoggerMessage(25001, LogLevel.Error, "The content of generation {GenerationId} could not be recorded; its audit record has none")]
    public static partial void ContentLost(this ILogger logger, Exception exception, string generationId);

    [LoggerMessage(25002, LogLevel.Warning,
        "Recorded content is in the database, but could not be erased from the spool; it is tried again until its file is deleted")]
    public static partial void ContentNotErased(this ILogger logger, Exception exception);

    [LoggerMessage(25003, LogLevel.Error,
        "The recorded content of record {Sequence} of node {Node} cannot be shown: {Problem}. Run 'fairlead audit verify'")]
    public static partial void ContentUnreadable(this ILogger logger, string node, long sequence, string problem);

    [LoggerMessage(25004, LogLevel.Information, "Removed the content of {Contents} audit record(s) that was stored long enough")]
    public static partial void ContentExpired(this ILogger logger, long contents);

    [LoggerMessage(25005, LogLevel.Error, "The key ring that encrypts recorded content cannot be used")]
    public static partial void KeyRingUnavailable(this ILogger logger, Exception exception);
}
