using Fairlead.Conversation;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Streaming;

namespace Fairlead.Tests.Generations.Events;

public sealed class LoggedEventsTests
{
    [Fact]
    public async Task Dispose_DuringSourceRead_StopsReadFirst()
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
        Assert.True(logged.Events.IsCompleted);
    }

    [Fact]
    public async Task LoggedEvents_ReaderTooSlow_SignalsLagAndLosesNothing()
    {
        var lagging = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var budget = new MemoryBudget(() => 1024 * 1024);
        await using var logged = LoggedEvents.Start(new Counting(500), TestContext.Current.CancellationToken, new EventQueue(maxBytes: 4096, budget), () => lagging.TrySetResult());
        // No client reads, so the generation waits instead of losing its events.
        await lagging.Task.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        Assert.True(budget.Used > 0);
        var seen = new List<string>();
        using var batch = new EventBatch();
        while (await logged.Events.ReadAsync(batch, TestContext.Current.CancellationToken)) seen.AddRange(batch.Items.Select(item => ((TextDelta)item.Event!).Text));
        Assert.Equal(Enumerable.Range(0, 500).Select(i => $"{i}"), seen);
        Assert.Equal(0, budget.Used);
    }

    [Fact]
    public async Task LoggedEvents_ReaderAbandoned_ContinuesToEndWithoutUsingMemory()
    {
        var budget = new MemoryBudget(() => 1024 * 1024);
        await using var logged = LoggedEvents.Start(new Counting(5000), TestContext.Current.CancellationToken, new EventQueue(maxBytes: 4096, budget), null);
        logged.Events.Abandon();
        await logged.Completion.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        Assert.Equal(0, budget.Used);
    }

    private sealed class Counting(int count) : IEventSource
    {
        private int _next;

        public ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            batch.Clear();
            if (_next == count) return ValueTask.FromResult(false);
            batch.Add(new TextDelta($"{_next++}"));
            return ValueTask.FromResult(true);
        }

        public ValueTask DisposeAsync() => default;
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
            // Releases a test that waits for the stop, so that it sees that none came.
            Stopping.TrySetResult();
            return default;
        }
    }
}
