using System.Text.Json.Nodes;
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
        return LimitErrors.Refusal(worst.State, worst.Needed, worst.Wait, refusing.Any(limit => limit.IsEstimate));
    }

    /// <summary>The parts of an error that name a limit.</summary>
    public static JsonObject DetailsOf(in LimitState state) => new()
    {
        ["name"] = state.Name.ToWire(),
        ["scope"] = state.Scope.ToWire(),
        ["model"] = state.Model,
        ["class"] = state.Class,
        ["limit"] = state.Limit,
    };

    /// <summary>The name, scope, model and class of a limit, for messages.</summary>
    public static string NameOf(in LimitState state)
    {
        var owner = state.Scope == LimitScope.Model ? $"organization for the model `{state.Model}`" : state.Scope.ToWire();
        return $"{state.Name.ToWire()} of the {owner}{(state.Class is null ? "" : $" (class {state.Class})")}";
    }
}
