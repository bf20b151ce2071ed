using System.Diagnostics.Metrics;
using Fairlead.Limits.Redis;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Limits.Redis;

public sealed class RedisWatchTests : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly RedisCircuit _circuit;
    private readonly RedisWatch _watch;

    public RedisWatchTests()
    {
        _circuit = new RedisCircuit(new RedisMetrics(_services.GetRequiredService<IMeterFactory>()), TimeProvider.System, NullLogger<RedisCircuit>.Instance);
        _circuit.Close(1, 0);
        _watch = new RedisWatch(_circuit);
    }

    public void Dispose()
    {
        _circuit.Dispose();
        _services.Dispose();
    }

    [Fact]
    public async Task Look_NoResponseForThreeTurns_EndsWaits()
    {
        _watch.Sent();
        var opened = _circuit.Opened;
        _watch.Look();
        _watch.Look();
        Assert.True(_circuit.IsAvailable);
        _watch.Look();
        Assert.False(_circuit.IsAvailable);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (opened.Register(ended.SetResult)) await ended.Task;
        // The waits after it is available again are others.
        _circuit.Close(1, _circuit.Outages);
        Assert.False(_circuit.Opened.IsCancellationRequested);
    }

    [Fact]
    public void Look_AnyResponseBetweenTurns_KeepsRedis()
    {
        // One waits all the time, and others get responses.
        _watch.Sent();
        for (var i = 0; i < 20; i++)
        {
            _watch.Sent();
            _watch.Look();
            _watch.Look();
            _watch.Received();
        }
        Assert.True(_circuit.IsAvailable);
    }

    [Fact]
    public void Look_NothingSent_KeepsRedis()
    {
        for (var i = 0; i < 20; i++) _watch.Look();
        _watch.Sent();
        _watch.Look();
        _watch.Received();
        for (var i = 0; i < 20; i++) _watch.Look();
        Assert.True(_circuit.IsAvailable);
    }
}
