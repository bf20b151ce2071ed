using Fairlead.Catalogue;
using Fairlead.Catalogue.States;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Routing;

/// <summary>
/// The order in which the deployments of a call are tried: 1. leave out what the request excludes or an operator drained, 2. by priority,
/// 3. among equals by the strategy of the model or the wish of the request, 4. what the request names first goes to the front. Thread-safe;
/// allocates nothing for a model whose deployments have different priorities.
/// </summary>
internal sealed class DeploymentSelector(RoutingRandom chance, DeploymentHealths healths, DeploymentStates states)
{
    /// <summary>Output tokens to compare costs by, where the request has no maximum.</summary>
    private const int UsualOutputTokens = 1000;

    /// <summary>Latency to assume of a deployment that has no response yet but calls in progress, in seconds: it may be hanging.</summary>
    private const double UnknownSeconds = 60;

    /// <summary>The deployments of the call in their order.</summary>
    public Selection Select(GatewayCall call)
    {
        var hints = call.Facts.Extension.Route;
        // 1.
        var candidates = RouteFilter.Apply(call.Model.Deployments, hints, call.StartedAt);
        if (states.HasDrained && candidates.Any(IsDrained)) return WithoutDrained(call, candidates, hints);
        return Order(call, candidates, hints);
    }

    // Not in the caller: what the lambda captures would be allocated for all calls.
    private Selection WithoutDrained(GatewayCall call, IReadOnlyList<Deployment> candidates, RouteHints? hints)
    {
        List<Deployment> active = [.. candidates.Where(deployment => !IsDrained(deployment))];
        var selection = Order(call, active, hints) with { HasDrained = true };
        return active.Count > 0 && candidates[0].Priority < active[0].Priority && selection.Reason != AttemptReasons.Order
            ? selection with { Reason = AttemptReasons.Drained } : selection;
    }

    private Selection Order(GatewayCall call, IReadOnlyList<Deployment> candidates, RouteHints? hints)
    {
        if (candidates.Count < 2) return new Selection(candidates, AttemptReasons.Only);

        // 2. and 3.
        var (ordered, reason) = HasEquals(candidates)
            ? Arrange(call, candidates, StrategyOf(call.Model, hints))
            : (candidates, AttemptReasons.Priority);

        // 4.
        return hints is { Order.Count: > 0 } ? NamedFirst(ordered, reason, hints.Order) : new Selection(ordered, reason);
    }

    private bool IsDrained(Deployment deployment) => states.IsDrained(deployment.Name);

    private static Selection NamedFirst(IReadOnlyList<Deployment> ordered, string reason, IReadOnlyList<string> names)
    {
        var named = new List<Deployment>(ordered.Count);
        foreach (var name in names) named.AddRange(ordered.Where(d => RouteFilter.IsNamed(d, name) && !named.Contains(d)));
        return named.Count == 0 ? new Selection(ordered, reason) : new Selection([.. named, .. ordered.Except(named)], AttemptReasons.Order);
    }

    private static SelectionStrategy StrategyOf(CatalogueModel model, RouteHints? hints) => hints?.Prefer switch
    {
        RoutePreference.Latency => SelectionStrategy.Latency,
        RoutePreference.Cost => SelectionStrategy.Cost,
        _ => model.Strategy,
    };

    private static bool HasEquals(IReadOnlyList<Deployment> candidates)
    {
        for (var i = 1; i < candidates.Count; i++)
        {
            if (candidates[i].Priority == candidates[i - 1].Priority) return true;
        }
        return false;
    }

    private (IReadOnlyList<Deployment> Ordered, string Reason) Arrange(
        GatewayCall call, IReadOnlyList<Deployment> candidates, SelectionStrategy strategy)
    {
        // By weight first: what the strategy leaves equal stays in this order.
        var ordered = DeploymentOrder.Of(candidates, chance.Next);
        var session = strategy == SelectionStrategy.Session ? SessionKey.Of(call) : null;
        // Without a session, there is nothing to come back to.
        if (strategy == SelectionStrategy.Session && session is null) strategy = SelectionStrategy.Weight;
        var hasFirstChoice = candidates[1].Priority == candidates[0].Priority;
        var reason = hasFirstChoice ? SelectionStrategies.NameOf(strategy) : AttemptReasons.Priority;
        IEnumerable<Deployment> result = strategy switch
        {
            SelectionStrategy.Cost => ordered.OrderBy(d => d.Priority).ThenBy(d => CostOf(call, d)),
            SelectionStrategy.Session => ordered.OrderBy(d => d.Priority).ThenByDescending(d => session!.ScoreOf(d)),
            SelectionStrategy.Latency => ByLatency(call, ordered),
            _ => ordered,
        };
        return (result as IReadOnlyList<Deployment> ?? [.. result], reason);
    }

    // The faster of the first two of the drawn order, then the others by their latency. Always the fastest of all would send every call to
    // one deployment until it is slow too.
    private List<Deployment> ByLatency(GatewayCall call, IReadOnlyList<Deployment> drawn)
    {
        var result = new List<Deployment>(drawn.Count);
        foreach (var group in drawn.GroupBy(d => d.Priority))
        {
            var scored = group.Select(d => (Deployment: d, Score: LatencyOf(call, d))).ToList();
            var first = scored.Count > 1 && scored[1].Score < scored[0].Score ? 1 : 0;
            result.Add(scored[first].Deployment);
            scored.RemoveAt(first);
            result.AddRange(scored.OrderBy(entry => entry.Score).Select(entry => entry.Deployment));
        }
        return result;
    }

    // The latency that the call would see, as if the calls in progress were served one after another.
    private double LatencyOf(GatewayCall call, Deployment deployment)
    {
        var health = healths.Of(deployment);
        var running = health.Running;
        if ((call.Streams ? health.FirstToken : health.Response).Seconds is { } seconds) return seconds * (running + 1);
        return running * UnknownSeconds;
    }

    private static decimal CostOf(GatewayCall call, Deployment deployment)
    {
        var input = call.InputEstimate.Tokens > 0 ? call.InputEstimate.Tokens : call.MaxInputTokens;
        var output = call.Operation == Operation.Chat ? call.MaxOutputTokens ?? UsualOutputTokens : 0;
        return deployment.Prices.At(call.StartedAt).CostOf(new Usage(input, output)).Usd;
    }
}
