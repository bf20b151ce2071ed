using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Validation;

/// <summary>
/// Moves a call that does not fit its model to the larger one that the operator named for that (<c>onOverflow</c>). Thread-safe.
/// </summary>
internal sealed class LargerModels(ICatalogue catalogue)
{
    /// <summary>
    /// Replaces the call's model, with a warning. False if there is no larger one, the key may not use it, it lacks something that the
    /// request needs, or the request wants none of its deployments. A call can be moved only a few times: each model's window is larger than the last one's.
    /// </summary>
    public bool TryMove(GatewayCall call)
    {
        if (call.Operation == Operation.CountTokens || OverflowModel.Of(call, catalogue.Current) is not { } larger) return false;
        if (CapabilityRules.Check(call.Operation, call.Facts, larger) is not null) return false;
        if (RouteFilter.Apply(larger.Deployments, call.Facts.Extension.Route, call.StartedAt).Count == 0) return false;
        call.Warn("larger_model", $"The request does not fit the context window of `{call.Model.Id}`, so `{larger.Id}` serves it.");
        call.Model = larger;
        return true;
    }
}
