using Fairlead.Generations;
using Fairlead.Streaming;

namespace Fairlead.Tests.Generations;

public sealed class LoggedEventsTests
{
    [Fact]
    public async Task Dispose_WhileTheSourceIsRead_StopsTheReadFirst()
    {
        var source = new SlowToStop();
        var logged = LoggedEvents.Start(source, TestContext.Current.CancellationToken);
        await source.Reading.Task;
        var disposing = logged.DisposeAsync().AsTask();
        await source.Stopping.Task;
        Assert.False(source.Disposed);
        source.MayStop.SetResult();
        await disposing.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.True(source.Disposed);
        Assert.True(logged.Log.IsCompleted);
    }

    private sealed class SlowToStop : IEventSource
    {
        public TaskCompletionSource Reading { get; } = new();

        public TaskCompletionSource Stopping { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource MayStop { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool Disposed { get; private set; }

        public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            using var registration = cancellationToken.Register(() => Stopping.SetResult());
            Reading.SetResult();
            await MayStop.Task;
            cancellationToken.ThrowIfCancellationRequested();
            return false;
        }

        public ValueTask DisposeAsync()
        {
            Disposed = true;
            // Whoever waits for the stop sees that it never came.
            Stopping.TrySetResult();
            return default;
        }
    }
}
