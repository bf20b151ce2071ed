using Fairlead.Pipeline;

namespace Fairlead.Idempotency;

/// <summary>
/// A call with a key that was used before gets the outcome of the first request, or joins it. A call with a new key is bound to the key.
/// All others pass. Thread-safe.
/// </summary>
internal sealed class IdempotencyStage(IdempotencyKeys keys) : IGatewayStage
{
    public ValueTask<GatewayReply> InvokeAsync(GatewayCall call, GatewayStep next, CancellationToken cancellationToken) =>
        call.IdempotencyKey is { } key && call.Idempotency is null
            ? BindAsync(call, key, next, cancellationToken)
            : next(call, cancellationToken);

    private async ValueTask<GatewayReply> BindAsync(GatewayCall call, string key, GatewayStep next, CancellationToken cancellationToken) =>
        await keys.BindAsync(call, key, cancellationToken) ?? await next(call, cancellationToken);
}
