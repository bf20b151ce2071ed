using System.Diagnostics.Metrics;
using Fairlead.Configuration;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Telemetry;
using Fairlead.Tests.Catalogue;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Limits.Redis;

public sealed class RedisReadinessCheckTests : IAsyncDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly RedisConnection _connection = new("127.0.0.1:1");

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        await _services.DisposeAsync();
    }

    [Theory]
    [InlineData(StoreFailurePolicy.Local, null, "unavailable; limits are shared out among 3 known nodes")]
    [InlineData(StoreFailurePolicy.Reject, "unavailable", null)]
    public async Task Check_RedisFails_IsDegradedOrNotReadyByPolicy(object policy, string? fault, string? degraded)
    {
        using var circuit = new RedisCircuit(new RedisMetrics(_services.GetRequiredService<IMeterFactory>()), TimeProvider.System, NullLogger<RedisCircuit>.Instance);
        IReadinessCheck check = Create(circuit, _connection, (StoreFailurePolicy)policy);
        Assert.True(check.IsUsed);
        circuit.Close(3, 0);
        Assert.Null(await check.CheckAsync(TestContext.Current.CancellationToken));
        Assert.Null(check.Degraded);
        circuit.Open(new TimeoutException());
        Assert.Equal((fault, degraded), (await check.CheckAsync(TestContext.Current.CancellationToken), check.Degraded));
    }

    [Fact]
    public async Task Check_NoRedisConfigured_IsNotUsed()
    {
        using var circuit = new RedisCircuit(new RedisMetrics(_services.GetRequiredService<IMeterFactory>()), TimeProvider.System, NullLogger<RedisCircuit>.Instance);
        await using var none = new RedisConnection(null);
        Assert.False(Create(circuit, none, StoreFailurePolicy.Reject).IsUsed);
    }

    private static RedisReadinessCheck Create(RedisCircuit circuit, RedisConnection connection, StoreFailurePolicy policy) =>
        new(circuit, connection, new FakeConfigurationSource(new GatewayConfiguration().With(new LimitsConfig { OnStoreFailure = policy })));
}
