using Fairlead.Pipeline;

namespace Fairlead.Idempotency;

/// <summary>A call with a key that was used before is answered with what came of it, or joins it; one with a new key is bound to it. Others pass.</summary>
internal sealed class IdempotencyStage(IdempotencyKeys keys) : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken) =>
        call.IdempotencyKey is { } key && call.Idempotency is null ? BindAsync(call, key, next, cancellationToken) : next(call, cancellationToken);

    private async ValueTask<GatewayReply> BindAsync(GatewayCall call, string key, GatewayStep next, CancellationToken cancellationToken) =>
        await keys.BindAsync(call, key, cancellationToken) ?? await next(call, cancellationToken);
}
