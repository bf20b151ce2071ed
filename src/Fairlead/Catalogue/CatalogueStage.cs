using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Catalogue;

/// <summary>Resolves the model's name in the catalogue, and checks that the caller may use it.</summary>
internal sealed class CatalogueStage(ICatalogue catalogue) : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken)
    {
        var requested = call.Facts.Model;
        var model = catalogue.Current.Find(requested);
        if (model is null || model.Deployments.Count == 0)
            return Refuse(ModelSuggestion.NotFound(catalogue.Current, call.Caller, requested, Shorten(requested)));

        // An alias is allowed if either its own name or its model's is allowed: operators list whichever they publish.
        if (call.Caller.Models is { } allowed && !allowed.Contains(requested) && !allowed.Contains(model.Id))
        {
            return Refuse(new GatewayError(ErrorCode.ModelNotAllowed,
                $"This key may not use the model `{Shorten(requested)}`.") { Parameter = "model" });
        }

        if (model.Lifecycle is { State: not LifecycleState.Active } lifecycle)
        {
            if (lifecycle.State == LifecycleState.Retired || lifecycle.RetiresAt <= call.StartedAt)
            {
                var instead = lifecycle.Replacement is { } replacement ? $" Use `{replacement}` instead." : "";
                return Refuse(new GatewayError(ErrorCode.ModelRetired,
                    $"The model `{model.Id}` has been retired.{instead}") { Parameter = "model" });
            }
            var until = lifecycle.RetiresAt is { } retires ? $" and will be retired on {retires:yyyy-MM-dd}" : "";
            var hint = lifecycle.Replacement is { } next2 ? $"; use `{next2}` instead" : "";
            call.Warn("model_deprecated", $"The model `{model.Id}` is deprecated{until}{hint}.");
        }

        call.Model = model;
        return next(call, cancellationToken);
    }

    private static ValueTask<GatewayReply> Refuse(GatewayError error) => new(new GatewayReply.Refused(error));

    private static string Shorten(string name) => name.Length <= 128 ? name : string.Concat(name.AsSpan(0, 128), "…");
}
