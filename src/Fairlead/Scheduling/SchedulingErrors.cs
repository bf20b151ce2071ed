using System.Globalization;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Errors;

namespace Fairlead.Scheduling;

/// <summary>The errors of calls that get no slot. Waits are estimates, and the details say so.</summary>
internal static class SchedulingErrors
{
    private static readonly TimeSpan MinRetryAfter = TimeSpan.FromSeconds(1);

    private const string OperatorsLimit = "The gateway's operator sets this limit; it is not a limit of your key.";

    /// <summary>The queue of the model and class is full.</summary>
    public static GatewayError Full(string model, QueuedCall call, int maximum)
    {
        var details = DetailsOf(model, call, call.ExpectedWait);
        details["queued"] = call.Queued;
        details["maximum"] = maximum;
        return new GatewayError(
            ErrorCode.QueueFull,
            string.Create(CultureInfo.InvariantCulture,
                $"All concurrency slots at this model's providers are in use, and {maximum:N0} calls of the class "
                + $"`{CallClasses.All[call.Class]}` wait for one, which is the maximum. {OperatorsLimit}"))
        {
            RetryAfter = AtLeastMinimum(call.ExpectedWait),
            Remedy = "Wait as long as `retry_after_ms` says (an estimate), then repeat the request, or choose another model.",
            Details = details,
        };
    }

    /// <summary>The expected wait ends after the deadline of the call.</summary>
    public static GatewayError DeadlineMissed(string model, QueuedCall call)
    {
        var details = DetailsOf(model, call, call.ExpectedWait);
        details["deadline_in_ms"] = (long)Math.Max(0, call.TimeLeft!.Value.TotalMilliseconds);
        return new GatewayError(
            ErrorCode.DeadlineExceeded,
            string.Create(CultureInfo.InvariantCulture,
                $"All concurrency slots at this model's providers are in use. The expected wait of {Seconds(call.ExpectedWait!.Value)} "
                + $"ends after the deadline of the request, so it was not started."))
        {
            RetryAfter = AtLeastMinimum(call.ExpectedWait),
            Remedy = "Allow more time in fairlead.deadline_ms, or choose another model.",
            Details = details,
        };
    }

    /// <summary>No slot became free within the longest wait.</summary>
    public static GatewayError NoSlot(string model, QueuedCall call, TimeSpan waited, TimeSpan? expected)
    {
        var details = DetailsOf(model, call, expected);
        details["waited_ms"] = (long)waited.TotalMilliseconds;
        return new GatewayError(
            ErrorCode.ProviderUnavailable,
            string.Create(CultureInfo.InvariantCulture,
                $"All concurrency slots at this model's providers are in use, and none became free within {Seconds(waited)}. "
                + $"{OperatorsLimit}"))
        {
            RetryAfter = AtLeastMinimum(expected),
            Details = details,
        };
    }

    /// <summary>The provider's own limits leave no room for the call: what it would respond if it were asked.</summary>
    public static GatewayError Held(TimeSpan wait) => new(ErrorCode.RateLimitExceeded,
        "The rate limit of the model's provider was reached. This is the provider's limit, not a limit of your key.")
    {
        RetryAfter = AtLeastMinimum(wait),
        Details = new JsonObject { ["limit"] = "provider" },
    };

    /// <summary>The same, for a call whose deadline is earlier.</summary>
    public static GatewayError HeldBeyondDeadline(string model, QueuedCall call, TimeSpan wait)
    {
        var details = DetailsOf(model, call, wait);
        details["deadline_in_ms"] = (long)Math.Max(0, call.TimeLeft!.Value.TotalMilliseconds);
        return new GatewayError(ErrorCode.DeadlineExceeded,
            string.Create(CultureInfo.InvariantCulture,
                $"The rate limit of the model's provider was reached. The expected wait of {Seconds(wait)} ends after the deadline of the "
                + $"request, so it was not started."))
        {
            RetryAfter = AtLeastMinimum(wait),
            Remedy = "Allow more time in fairlead.deadline_ms, or choose another model.",
            Details = details,
        };
    }

    private static JsonObject DetailsOf(string model, QueuedCall call, TimeSpan? expected) => new()
    {
        ["model"] = model,
        ["class"] = CallClasses.All[call.Class],
        ["expected_wait_ms"] = expected is { } wait ? (long)wait.TotalMilliseconds : null,
        ["estimated"] = true,
    };

    private static TimeSpan AtLeastMinimum(TimeSpan? wait) => wait > MinRetryAfter ? wait.Value : MinRetryAfter;

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.#} s");
}
