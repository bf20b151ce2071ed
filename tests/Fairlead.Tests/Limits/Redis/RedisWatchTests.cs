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
    public void Look_EachWaitsShortly_KeepsRedis()
    {
        // There is always one that waits, and it gets its response within a few turns.
        _watch.Sent();
        for (var i = 0; i < 50; i++)
        {
            _watch.Sent();
            _watch.Look();
            _watch.Look();
            _watch.Received();
        }
        Assert.True(_circuit.IsAvailable);
    }

    /// <summary>Responses come in the order of what was sent, so that each one here waits for a thousand others.</summary>
    [Fact]
    public void Look_WaitOfTenTurnsWhileOthersGetResponses_EndsWaits()
    {
        for (var i = 0; i < 7; i++) _watch.Look();
        for (var i = 0; i < 1000; i++) _watch.Sent();
        for (var i = 0; i < 9; i++)
        {
            Turn();
            Assert.True(_circuit.IsAvailable);
        }
        Turn();
        Assert.False(_circuit.IsAvailable);

        void Turn()
        {
            _watch.Sent();
            _watch.Received();
            _watch.Look();
        }
    }

    [Fact]
    public void Look_BacklogThatShrinksInTime_KeepsRedis()
    {
        for (var round = 0; round < 20; round++)
        {
            for (var i = 0; i < 90; i++) _watch.Sent();
            for (var turn = 0; turn < 9; turn++)
            {
                for (var i = 0; i < 10; i++) _watch.Received();
                _watch.Look();
            }
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
