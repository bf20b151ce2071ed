using Fairlead.Catalogue;
using Fairlead.Limits;
using Fairlead.Routing;
using Fairlead.Validation;

namespace Fairlead.Pipeline;

/// <summary>
/// The order of a call's stages, written once. Before them the edge authenticates by headers and reads the body; after them
/// <see cref="CallEnder"/> settles, charges and records, on every way out.
/// </summary>
internal sealed class GatewayPipeline
{
    /// <summary>
    /// Cheap refusals come before costly ones: a name is looked up before tokens are counted, and money is held last, when
    /// nothing but a provider can still refuse.
    /// </summary>
    public static readonly IReadOnlyList<Type> Order =
    [
        typeof(CatalogueStage), typeof(ValidationStage), typeof(LimitsStage), typeof(RoutingStage),
    ];

    private readonly GatewayStep _first;

    public GatewayPipeline(IEnumerable<IGatewayStage> stages)
    {
        var byType = stages.ToDictionary(stage => stage.GetType());
        GatewayStep step = static (_, _) => throw new InvalidOperationException("The last stage must answer the call.");
        foreach (var type in Order.Reverse())
        {
            var stage = byType.Remove(type, out var known) ? known : throw new InvalidOperationException($"The stage {type.Name} is not registered.");
            var next = step;
            step = (call, cancellationToken) => stage.InvokeAsync(call, next, cancellationToken);
        }
        if (byType.Count > 0) throw new InvalidOperationException($"The stage {byType.Keys.First().Name} has no place in the order.");
        _first = step;
    }

    /// <summary>Walks the call through all stages.</summary>
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, CancellationToken cancellationToken) => _first(call, cancellationToken);
}
