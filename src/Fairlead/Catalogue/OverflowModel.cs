using Fairlead.Pipeline;

namespace Fairlead.Catalogue;

/// <summary>The larger model that the operator named for requests which do not fit (<c>onOverflow</c>). Pure.</summary>
internal static class OverflowModel
{
    /// <summary>The larger model of a call; null if there is none, it has been retired, or the key may not use it.</summary>
    public static CatalogueModel? Of(GatewayCall call, ICatalogueSnapshot catalogue)
    {
        if (call.Model.OnOverflow is not { } name || catalogue.Find(name) is not { Deployments.Count: > 0 } larger) return null;
        if (!IsLarger(larger, call.Model)) return null;
        if (call.Caller.Models is { } allowed && !allowed.Contains(name) && !allowed.Contains(larger.Id)) return null;
        return larger.Lifecycle is { State: LifecycleState.Retired } || larger.Lifecycle.RetiresAt <= call.StartedAt ? null : larger;
    }

    /// <summary>Whether a request that does not fit one model may fit another.</summary>
    public static bool IsLarger(CatalogueModel larger, CatalogueModel model) =>
        model.ContextWindow is { } window && !(larger.ContextWindow <= window);
}
