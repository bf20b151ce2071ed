namespace Fairlead.Pipeline;

/// <summary>Runs the stages that follow.</summary>
internal delegate ValueTask<GatewayReply> GatewayStep(GatewayCall call, CancellationToken cancellationToken);

/// <summary>One step of every call, live or job. Singletons; thread-safe.</summary>
internal interface IGatewayStage
{
    ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken);
}
