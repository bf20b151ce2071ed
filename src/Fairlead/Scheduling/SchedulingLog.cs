using Microsoft.Extensions.Logging;

namespace Fairlead.Scheduling;

internal static partial class SchedulingLog
{
    [LoggerMessage(17001, LogLevel.Warning,
        "Queue of model {Model} is full: {Maximum} calls of the class {Class} wait; further ones are refused")]
    public static partial void QueueFull(ILogger logger, string model, int maximum, string @class);
}
