using Fairlead.Configuration;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Telemetry;

public sealed class DrainServiceTests : IDisposable
{
    private readonly DrainState _drain = new();
    private readonly FakeTimeProvider _time = new();

    private readonly DataFolderLock _folder;

    public DrainServiceTests() => _folder = new DataFolderLock(new Fixed(), _time);

    public void Dispose()
    {
        _drain.Dispose();
        _folder.Dispose();
    }

    private DrainService Service() => new(_drain, _folder, new Fixed(), _time, NullLogger<DrainService>.Instance);

    [Fact]
    public async Task Stopping_NoCallsInProgress_CompletesImmediately()
    {
        await Service().StoppingAsync(TestContext.Current.CancellationToken);
        Assert.True(_drain.IsDraining);
        Assert.False(_drain.LimitReached.IsCancellationRequested);
    }

    [Fact]
    public async Task Stopping_CallInProgress_RefusesNewCallsAndWaits()
    {
        _drain.Enter();
        var stopping = Service().StoppingAsync(TestContext.Current.CancellationToken);
        Assert.True(_drain.IsDraining);
        Assert.Equal("shutting down", await new DrainReadinessCheck(_drain).CheckAsync(TestContext.Current.CancellationToken));
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.False(stopping.IsCompleted);
        _drain.Leave();
        await AdvanceUntilAsync(stopping);
        Assert.False(_drain.LimitReached.IsCancellationRequested);
    }

    [Fact]
    public async Task Stopping_CallExceedsDrainLimit_IsEnded()
    {
        _drain.Enter();
        using var left = _drain.LimitReached.Register(_drain.Leave);
        var stopping = Service().StoppingAsync(TestContext.Current.CancellationToken);
        await AdvanceUntilAsync(stopping);
        Assert.True(_drain.LimitReached.IsCancellationRequested);
        Assert.Equal(0, _drain.Active);
    }

    private async Task AdvanceUntilAsync(Task task)
    {
        for (var i = 0; i < 1000 && !task.IsCompleted; i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Yield();
        }
        await task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
    }

    private sealed class Fixed : IConfigurationSource
    {
        public GatewayConfiguration Current { get; } = new GatewayConfiguration { DrainTimeout = TimeSpan.FromSeconds(30) };

        public event Action<GatewayConfiguration>? Changed
        {
            add { }
            remove { }
        }
    }
}
