using System.Globalization;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Errors;

namespace Fairlead.Limits;

/// <summary>Makes the error of a call that a limit refuses: it names the limit, its scope, its reset and the wait.</summary>
internal static class LimitErrors
{
    private const string Policy = "policy";

    /// <summary>The error of a rate, of concurrency or of a budget.</summary>
    /// <param name="state">The limit, as it was when it refused the call.</param>
    /// <param name="requested">What the call needs, in the unit of the limit.</param>
    /// <param name="wait">After how long the same call is served if no other uses the limit; null if that is not known.</param>
    /// <param name="isEstimated">Whether <paramref name="wait"/> is an estimate.</param>
    /// <exception cref="ArgumentException">The limit is one of a single request, for which waiting does not help.</exception>
    public static GatewayError Refusal(in LimitState state, long requested, TimeSpan? wait, bool isEstimated = false)
    {
        if (state.Name >= LimitName.InputTokensPerRequest) throw new ArgumentException("Not a limit that refills.", nameof(state));
        // Even a full limit does not serve it.
        var isTooLarge = requested > Math.Max(state.Limit, state.Base ?? 0);
        if (isTooLarge) wait = null;
        return new GatewayError(state.Name.IsBudget() ? ErrorCode.BudgetExceeded : ErrorCode.RateLimitExceeded,
            Message(state, requested, isTooLarge))
        {
            RetryAfter = wait,
            Retryable = isTooLarge ? false : null,
            Remedy = isTooLarge
                ? "Send less input, lower the output limit, or ask an administrator to raise the limit: waiting does not help." : null,
            OpenAiCode = state.Name.IsBudget() ? "insufficient_quota" : null,
            OpenAiType = state.Name is LimitName.InputTokensPerMinute or LimitName.OutputTokensPerMinute ? "tokens" : null,
            Details = Details(state, requested, wait, isEstimated && !isTooLarge),
        };
    }

    /// <summary>The name of the limit that caused <paramref name="error"/> in the <c>RateLimit</c> fields; null if none did.</summary>
    public static string? PolicyOf(GatewayError? error) =>
        error is { Code: ErrorCode.RateLimitExceeded or ErrorCode.BudgetExceeded, Details: { } details }
            && details[Policy] is JsonValue value && value.TryGetValue<string>(out var name) ? name : null;

    private static JsonObject Details(in LimitState state, long requested, TimeSpan? wait, bool isEstimated)
    {
        var details = JsonNode.Parse(LimitJson.ToBytes(state))!.AsObject();
        details[Policy] = LimitPolicyName.Of(state);
        details["requested"] = state.Name.IsMoney() ? Money.FromPico(requested) : requested;
        details["retry_after_ms"] = wait is { } time ? (long)Math.Ceiling(time.TotalMilliseconds) : null;
        details["estimated"] = isEstimated;
        return details;
    }

    private static string Message(in LimitState state, long requested, bool isTooLarge)
    {
        var name = state.Name.ToWire();
        var (limit, remaining, needed) = (Text(state.Name, state.Limit), Text(state.Name, state.Remaining), Text(state.Name, requested));
        var ofClass = state.Class is { } one ? $" for the class {one}" : "";
        return isTooLarge
            ? $"The call needs {needed}, and the limit `{name}` of {Owner(state)}{ofClass} is {limit}."
            : $"The limit `{name}` of {Owner(state)}{ofClass} is reached: {remaining} of {limit} remain, and the call needs {needed}.";
    }

    private static string Owner(in LimitState state) => state.Scope switch
    {
        LimitScope.Key => "this key",
        LimitScope.Project => "the project",
        LimitScope.Organization => "the organization",
        _ => $"the organization at the model `{state.Model}`",
    };

    private static string Text(LimitName name, long amount) => name.IsMoney()
        ? string.Create(CultureInfo.InvariantCulture, $"{Money.FromPico(amount)} US dollars")
        : amount.ToString("N0", CultureInfo.InvariantCulture);
}
