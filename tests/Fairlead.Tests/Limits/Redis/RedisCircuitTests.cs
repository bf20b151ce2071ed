using System.Diagnostics.Metrics;
using Fairlead.Limits.Redis;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Limits.Redis;

public sealed class RedisCircuitTests : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly LimitTime _time = new();
    private readonly RedisCircuit _circuit;

    public RedisCircuitTests() => _circuit = new RedisCircuit(
        new RedisMetrics(_services.GetRequiredService<IMeterFactory>()), _time, NullLogger<RedisCircuit>.Instance);

    public void Dispose()
    {
        _circuit.Dispose();
        _services.Dispose();
    }

    [Fact]
    public void Close_OpenedSinceRedisWasTold_StaysOpen()
    {
        Assert.True(_circuit.Close(2, _circuit.Outages));
        var before = _circuit.Outages;
        _circuit.Open(new TimeoutException());
        Assert.False(_circuit.Close(3, before));
        Assert.Equal((false, 2), (_circuit.IsAvailable, _circuit.Nodes));
        Assert.True(_circuit.Close(3, _circuit.Outages));
        Assert.Equal((true, 3), (_circuit.IsAvailable, _circuit.Nodes));
    }

    [Fact]
    public void Nodes_FewerAfterAnOutage_CountAfterALease()
    {
        _circuit.Close(3, 0);
        _circuit.Open(new TimeoutException());
        _time.Advance(TimeSpan.FromMinutes(1));
        // The first one that is back is alone there.
        _circuit.Close(1, _circuit.Outages);
        Assert.Equal(3, _circuit.Nodes);
        _time.Advance(RedisRateStore.Lease - TimeSpan.FromSeconds(1));
        _circuit.Open(new TimeoutException());
        _circuit.Close(1, _circuit.Outages);
        _time.Advance(TimeSpan.FromSeconds(2));
        _circuit.Close(2, _circuit.Outages);
        Assert.Equal(3, _circuit.Nodes);
        _time.Advance(RedisRateStore.Lease);
        _circuit.Close(1, _circuit.Outages);
        // The most of the last lease.
        Assert.Equal(2, _circuit.Nodes);
        _circuit.Close(4, _circuit.Outages);
        Assert.Equal(4, _circuit.Nodes);
    }

    [Fact]
    public async Task OpenAndClose_AtOnce_WhenAvailableWaitsDoNotEnd()
    {
        for (var i = 0; i < 2000; i++)
        {
            var opening = Task.Run(() => _circuit.Open(new TimeoutException()), TestContext.Current.CancellationToken);
            var closed = 0;
            while (!opening.IsCompleted || closed++ == 0) _circuit.Close(1, _circuit.Outages);
            await opening;
            Assert.True(_circuit.IsAvailable != _circuit.Opened.IsCancellationRequested);
        }
    }
}
