namespace Fairlead.Pipeline;

/// <summary>The rest of the way.</summary>
internal delegate ValueTask<GatewayReply> GatewayStep(GatewayCall call, CancellationToken cancellationToken);

/// <summary>One step of every call, whether it came over HTTP or from a job. Singletons; thread-safe.</summary>
internal interface IGatewayStage
{
    ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken);
}
