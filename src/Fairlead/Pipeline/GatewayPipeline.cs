using Fairlead.Catalogue;
using Fairlead.Idempotency;
using Fairlead.Limits;
using Fairlead.Routing;
using Fairlead.StructuredOutput;
using Fairlead.Validation;

namespace Fairlead.Pipeline;

/// <summary>
/// The order of a call's stages, written once. Before them the edge authenticates by headers and reads the body; after them
/// <see cref="CallEnder"/> settles, charges and records, on every way out.
/// </summary>
internal sealed class GatewayPipeline
{
    /// <summary>
    /// A repeated request is answered before it is judged anew: what it names may have changed since. Cheap refusals come before costly ones: a name is looked up before tokens are counted, and money is held last, when
    /// nothing but a provider can still refuse.
    /// </summary>
    public static readonly IReadOnlyList<Type> Order =
    [
        typeof(IdempotencyStage), typeof(CatalogueStage), typeof(ValidationStage), typeof(LimitsStage), typeof(StructuredOutputStage), typeof(RoutingStage),
    ];

    private readonly GatewayStep _first;
    private readonly GatewayStep _admission;

    public GatewayPipeline(IEnumerable<IGatewayStage> stages)
    {
        var byType = stages.ToDictionary(stage => stage.GetType());
        GatewayStep step = static (_, _) => throw new InvalidOperationException("The last stage must answer the call.");
        GatewayStep admission = static (_, _) => new ValueTask<GatewayReply>(GatewayReply.Admitted.Instance);
        foreach (var type in Order.Reverse())
        {
            var stage = byType.Remove(type, out var known) ? known : throw new InvalidOperationException($"The stage {type.Name} is not registered.");
            var next = step;
            step = (call, cancellationToken) => stage.InvokeAsync(call, next, cancellationToken);
            if (type == typeof(RoutingStage) || type == typeof(StructuredOutputStage)) continue;
            var then = admission;
            admission = (call, cancellationToken) => stage.InvokeAsync(call, then, cancellationToken);
        }
        if (byType.Count > 0) throw new InvalidOperationException($"The stage {byType.Keys.First().Name} has no place in the order.");
        _first = step;
        _admission = admission;
    }

    /// <summary>Walks the call through all stages.</summary>
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, CancellationToken cancellationToken) => _first(call, cancellationToken);

    /// <summary>Walks the call through all stages before the one that sends it: <see cref="GatewayReply.Admitted"/>, or the refusal.</summary>
    public ValueTask<GatewayReply> AdmitAsync(GatewayCall call, CancellationToken cancellationToken) => _admission(call, cancellationToken);
}
