using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Routing;
using Fairlead.Streaming;
using Fairlead.Tests.Catalogue;
using Fairlead.Tests.Scheduling;

namespace Fairlead.Tests.Routing;

/// <summary>The slot of an attempt is returned when its source has ended, once.</summary>
public sealed class AttemptEventsTests : IDisposable
{
    private readonly Fairlead.Catalogue.Deployment _one = VirtualQueue.At("p/1", 2) with { Provider = new FakeProvider("p", "openai") };
    private readonly SchedulerWorld _world;

    public AttemptEventsTests() => _world = new SchedulerWorld(SchedulerWorld.ModelOf("m", _one));

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private int Taken => _world.Slots.TakenAt("p/1");

    public void Dispose() => _world.Dispose();

    [Fact]
    public async Task ReadAsync_SourceEnded_ReturnsTheSlotBeforeTheResponseIsDisposed()
    {
        var source = new ListedEvents(() => Taken, new TextDelta("a"), new TextDelta("b"), new ChoiceFinished(FinishReason.Stop));
        await using var events = await StartAsync(source);
        using var batch = new EventBatch();
        for (var i = 0; i < 3; i++)
        {
            Assert.True(await events.ReadAsync(batch, Cancel));
            Assert.Equal(1, Taken);
        }
        Assert.False(await events.ReadAsync(batch, Cancel));
        Assert.Equal(0, Taken);
        // The deployment had ended its work.
        Assert.Equal([1], source.TakenWhenDisposed);

        // Another call has the slot now.
        Assert.True(_world.Slots.TryTake(_one));
        Assert.False(await events.ReadAsync(batch, Cancel));
        await events.DisposeAsync();
        await events.DisposeAsync();
        Assert.Equal(1, Taken);
        Assert.Single(source.TakenWhenDisposed);
    }

    [Fact]
    public async Task ReadAsync_SourceFailed_ReturnsTheSlotAfterItsLastEvents()
    {
        var failed = new AttemptFailed(new GatewayError(ErrorCode.ProviderError, "broken"));
        await using var events = await StartAsync(new ListedEvents(() => Taken, new TextDelta("a"), failed));
        using var batch = new EventBatch();
        Assert.True(await events.ReadAsync(batch, Cancel));
        Assert.True(await events.ReadAsync(batch, Cancel));
        Assert.Equal(1, Taken);
        Assert.False(await events.ReadAsync(batch, Cancel));
        Assert.Equal(0, Taken);
    }

    [Fact]
    public async Task ReadAsync_SourceEndedBeforeContent_ReturnsTheSlotAfterWhatWasHeld()
    {
        await using var events = await StartAsync(new ListedEvents(() => Taken, new ChoiceFinished(FinishReason.Stop)), StreamStart.EndedEmpty);
        using var batch = new EventBatch();
        Assert.True(await events.ReadAsync(batch, Cancel));
        Assert.False(await events.ReadAsync(batch, Cancel));
        Assert.Equal(0, Taken);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task DisposeAsync_ResponseGivenUp_ReturnsTheSlotAfterTheSource(bool fails)
    {
        var source = new ListedEvents(() => Taken, new TextDelta("a"), new TextDelta("b")) { FailsToClose = fails };
        var events = await StartAsync(source);
        if (fails) await Assert.ThrowsAsync<IOException>(async () => await events.DisposeAsync());
        else await events.DisposeAsync();
        Assert.Equal([1], source.TakenWhenDisposed);
        Assert.Equal(0, Taken);
    }

    private async Task<AttemptEvents> StartAsync(ListedEvents source, StreamStart expected = StreamStart.Content)
    {
        var call = _world.CallOf(_world.Models[0]);
        Assert.True(_world.Slots.TryTake(_one));
        var events = new AttemptEvents(call, new Attempt("att_1", 1, _one), source, null, _world.Scheduler);
        Assert.Equal(expected, await events.WaitForContentAsync(Cancel));
        events.HoldsSlot = true;
        return events;
    }

    private sealed class ListedEvents(Func<int> taken, params GenerationEvent[] events) : IEventSource
    {
        private int _next;

        public bool FailsToClose { get; init; }

        public List<int> TakenWhenDisposed { get; } = [];

        public ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            batch.Clear();
            Assert.Empty(TakenWhenDisposed);
            if (_next == events.Length) return new(false);
            batch.Add(events[_next++]);
            return new(true);
        }

        public ValueTask DisposeAsync()
        {
            TakenWhenDisposed.Add(taken());
            return FailsToClose ? throw new IOException("The connection is gone.") : ValueTask.CompletedTask;
        }
    }
}
