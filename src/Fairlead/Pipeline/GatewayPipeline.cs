using Fairlead.Auditing.Content;
using Fairlead.Caching;
using Fairlead.Catalogue;
using Fairlead.Coalescing;
using Fairlead.Idempotency;
using Fairlead.Limits;
using Fairlead.Policies.Checking;
using Fairlead.Rescue;
using Fairlead.Routing;
using Fairlead.StructuredOutput;
using Fairlead.Validation;

namespace Fairlead.Pipeline;

/// <summary>
/// The stages of every call, in two lists. Before them the entry point authenticates the caller and reads the body; after them
/// <see cref="CallEnder"/> settles, charges and records the call, however it ends. Thread-safe.
/// </summary>
internal sealed class GatewayPipeline
{
    /// <summary>
    /// Decides whether the call may run. A job passes these stages when it is accepted, before it is stored.
    /// </summary>
    /// <remarks>
    /// Idempotency is first: a repeated request gets its stored result, even if its model has changed since. Cheap checks run before
    /// expensive ones: a name is looked up before tokens are counted. The content policy may change the request, so nothing looks at it
    /// before. Limits is last, so that a refused call reserves no money.
    /// </remarks>
    public static readonly IReadOnlyList<Type> Admission =
    [
        typeof(IdempotencyStage), typeof(ContentPolicyStage), typeof(CatalogueStage), typeof(ValidationStage), typeof(LimitsStage),
    ];

    /// <summary>Runs the call at a provider.</summary>
    /// <remarks>
    /// The audit's content is first: it records what the client gets. The cache keeps what the content policy let pass. It is before coalescing: a call that gets a stored response need not wait for
    /// another call.
    /// </remarks>
    public static readonly IReadOnlyList<Type> Execution =
    [
        typeof(AuditContentStage), typeof(StructuredOutputStage), typeof(CacheStage), typeof(PolicyOutputStage), typeof(CoalescingStage),
        typeof(RescueStage), typeof(RoutingStage),
    ];

    private readonly GatewayStep _all;
    private readonly GatewayStep _admission;

    public GatewayPipeline(IEnumerable<IGatewayStage> stages)
    {
        var byType = stages.ToDictionary(stage => stage.GetType());
        var admission = Admission.Select(type => Take(byType, type)).ToArray();
        var execution = Execution.Select(type => Take(byType, type)).ToArray();
        if (byType.Count > 0) throw new InvalidOperationException($"The stage {byType.Keys.First().Name} is not in the order.");

        _admission = Chain(admission, static (_, _) => new ValueTask<GatewayReply>(GatewayReply.Admitted.Instance));
        var run = Chain(execution, static (_, _) => throw new InvalidOperationException("The last stage must return a reply."));
        _all = Chain(admission, run);
    }

    /// <summary>Runs all stages.</summary>
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, CancellationToken cancellationToken) => _all(call, cancellationToken);

    /// <summary>Runs the stages of <see cref="Admission"/>.</summary>
    /// <returns><see cref="GatewayReply.Admitted"/>, the refusal, or the result of the request that this one repeats.</returns>
    public ValueTask<GatewayReply> AdmitAsync(GatewayCall call, CancellationToken cancellationToken) => _admission(call, cancellationToken);

    private static IGatewayStage Take(Dictionary<Type, IGatewayStage> byType, Type type) =>
        byType.Remove(type, out var stage) ? stage : throw new InvalidOperationException($"The stage {type.Name} is not registered.");

    private static GatewayStep Chain(IGatewayStage[] stages, GatewayStep last)
    {
        var next = last;
        for (var i = stages.Length - 1; i >= 0; i--) next = Before(stages[i], next);
        return next;
    }

    private static GatewayStep Before(IGatewayStage stage, GatewayStep next) =>
        (call, cancellationToken) => stage.InvokeAsync(call, next, cancellationToken);
}
