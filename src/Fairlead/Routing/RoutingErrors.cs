using System.Text.Json.Nodes;
using Fairlead.Errors;

namespace Fairlead.Routing;

/// <summary>Errors of calls for which no deployment is left.</summary>
internal static class RoutingErrors
{
    /// <summary>Nobody knows when an operator makes a deployment active again. Such a change takes effect within seconds.</summary>
    public static readonly TimeSpan DrainedRetryAfter = TimeSpan.FromSeconds(30);

    /// <summary>Every deployment that could serve the call is open, and none is tested by it.</summary>
    /// <param name="model">Name of the model.</param>
    /// <param name="untilTest">Time until the next test.</param>
    /// <param name="hasTried">Whether another one was tried, which does not work either.</param>
    public static GatewayError AllOpen(string model, TimeSpan untilTest, bool hasTried) => new(ErrorCode.ProviderUnavailable,
        $"No provider of the model `{model}` works at the moment: "
        + (hasTried ? "some failed repeatedly, and so did the attempt at another one. " : "all of them failed repeatedly. ")
        + "The next test is due in "
        + $"{Math.Max(1, (long)Math.Ceiling(untilTest.TotalMilliseconds))} ms.")
    {
        RetryAfter = untilTest > TimeSpan.Zero ? untilTest : TimeSpan.FromMilliseconds(1),
    };

    /// <summary>An operator has drained every deployment that the call may use.</summary>
    /// <param name="model">Name of the model.</param>
    public static GatewayError AllDrained(string model) => new(ErrorCode.ProviderUnavailable,
        $"The operator has taken all providers of the model `{model}` that this request may use out of service.")
    {
        RetryAfter = DrainedRetryAfter,
        Remedy = "Use another model, or repeat the request later.",
        Details = new JsonObject { ["model"] = model, ["reason"] = "drained" },
    };
}
