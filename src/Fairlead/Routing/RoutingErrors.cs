using Fairlead.Errors;

namespace Fairlead.Routing;

/// <summary>Errors of calls for which no deployment is left.</summary>
internal static class RoutingErrors
{
    /// <summary>Every deployment that could serve the call is open, and none is tested by it.</summary>
    /// <param name="model">Name of the model.</param>
    /// <param name="untilTest">Time until the next test.</param>
    public static GatewayError AllOpen(string model, TimeSpan untilTest) => new(ErrorCode.ProviderUnavailable,
        $"No provider of the model `{model}` works at the moment: all of them failed repeatedly. The next test is due in "
        + $"{Math.Max(1, (long)Math.Ceiling(untilTest.TotalMilliseconds))} ms.")
    {
        RetryAfter = untilTest > TimeSpan.Zero ? untilTest : TimeSpan.FromMilliseconds(1),
    };
}
