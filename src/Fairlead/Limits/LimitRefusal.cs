using System.Globalization;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Errors;

namespace Fairlead.Limits;

/// <summary>A limit that does not allow a call now.</summary>
/// <param name="State">Its state.</param>
/// <param name="Needed">What the call needs of it.</param>
/// <param name="Wait">How long until it does, if nobody else uses it; null if it never can.</param>
/// <param name="IsEstimate">Whether the wait depends on other calls.</param>
internal readonly record struct RefusingLimit(LimitState State, long Needed, TimeSpan? Wait, bool IsEstimate);

/// <summary>Turns limits that refuse a call into an error. It names the limit with the longest wait.</summary>
internal static class LimitRefusal
{
    /// <param name="refusing">One or more.</param>
    public static GatewayError Of(IReadOnlyList<RefusingLimit> refusing)
    {
        var worst = refusing[0];
        foreach (var limit in refusing)
        {
            if (worst.Wait is { } wait && (limit.Wait is null || limit.Wait > wait)) worst = limit;
        }
        return Of(worst, refusing.Any(limit => limit.IsEstimate));
    }

    /// <summary>The parts of an error that name a limit.</summary>
    public static JsonObject DetailsOf(in LimitState state) => new()
    {
        ["name"] = state.Name.ToWire(),
        ["scope"] = state.Scope.ToWire(),
        ["model"] = state.Model,
        ["class"] = state.Class,
        ["limit"] = Number(state.Name, state.Limit),
    };

    private static GatewayError Of(in RefusingLimit refusing, bool isEstimate)
    {
        var state = refusing.State;
        var details = DetailsOf(state);
        details["used"] = Number(state.Name, state.Used);
        details["reserved"] = Number(state.Name, state.Reserved);
        details["remaining"] = Number(state.Name, state.Remaining);
        details["needed"] = Number(state.Name, refusing.Needed);
        details["resets_at"] = state.ResetsAt is { } reset ? JsonValue.Create(reset.UtcDateTime) : null;
        details["wait_ms"] = refusing.Wait is { } wait ? (long)Math.Ceiling(wait.TotalMilliseconds) : null;
        details["estimated"] = isEstimate;

        var isBudget = state.Name.IsBudget();
        var message = refusing.Wait is null
            ? $"The call needs {Text(state.Name, refusing.Needed)}, which is more than the whole limit {NameOf(state)} of {Text(state.Name, state.Limit)}."
            : $"The limit {NameOf(state)} of {Text(state.Name, state.Limit)} does not allow the call now: "
                + $"{Text(state.Name, state.Used)} used, {Text(state.Name, state.Reserved)} reserved, {Text(state.Name, refusing.Needed)} needed.";
        if (isBudget && refusing.Wait is not null && state.ResetsAt is { } end)
            message += $" It resets at {end.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)}.";
        return new GatewayError(isBudget ? ErrorCode.BudgetExceeded : ErrorCode.RateLimitExceeded, message)
        {
            RetryAfter = refusing.Wait,
            Retryable = refusing.Wait is null ? false : null,
            Remedy = refusing.Wait is null ? "Ask for less, or ask an administrator for a higher limit." : null,
            Details = details,
            OpenAiCode = isBudget ? "insufficient_quota" : null,
        };
    }

    /// <summary>The name, scope, model and class of a limit, for messages.</summary>
    public static string NameOf(in LimitState state)
    {
        var owner = state.Scope == LimitScope.Model ? $"organization for the model `{state.Model}`" : state.Scope.ToWire();
        return $"{state.Name.ToWire()} of the {owner}{(state.Class is null ? "" : $" (class {state.Class})")}";
    }

    private static string Text(LimitName name, long amount) => name.IsMoney()
        ? $"{Money.FromPico(amount).ToString("0.############", CultureInfo.InvariantCulture)} US dollars"
        : $"{amount.ToString("N0", CultureInfo.InvariantCulture)} {UnitOf(name)}";

    private static string UnitOf(LimitName name) => name switch
    {
        LimitName.RequestsPerMinute => "requests",
        LimitName.ConcurrentGenerations => "generations",
        _ => "tokens",
    };

    private static JsonNode Number(LimitName name, long amount) =>
        name.IsMoney() ? JsonValue.Create(Money.FromPico(amount)) : JsonValue.Create(amount);
}
