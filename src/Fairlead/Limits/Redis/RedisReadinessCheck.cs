using Fairlead.Configuration;
using Fairlead.Telemetry;

namespace Fairlead.Limits.Redis;

/// <summary>
/// Not ready without Redis only where <c>limits.onStoreFailure</c> rejects calls then. Otherwise the node works with its share of the limits.
/// </summary>
internal sealed class RedisReadinessCheck(RedisCircuit circuit, RedisConnection connection, IConfigurationSource configuration)
    : IReadinessCheck
{
    public string Name => "redis";

    public bool IsUsed => connection.IsConfigured;

    public string? Degraded =>
        circuit.IsAvailable || IsRejecting ? null : $"unavailable; limits are shared out among {circuit.Nodes} known nodes";

    private bool IsRejecting => configuration.Current.Limits.OnStoreFailure == StoreFailurePolicy.Reject;

    public ValueTask<string?> CheckAsync(CancellationToken cancellationToken) =>
        ValueTask.FromResult(!circuit.IsAvailable && IsRejecting ? "unavailable" : null);
}
