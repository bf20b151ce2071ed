using System.Threading.Channels;
using Fairlead.Conversation;
using Fairlead.Delivery;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Delivery;

public sealed class BatchedEventsTests : IAsyncDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly Source _source = new();
    private readonly CallCancellation _cancellation;
    private readonly BatchedEvents _events;
    private readonly EventBatch _batch = new();

    public BatchedEventsTests()
    {
        _cancellation = new CallCancellation(null, _time, CancellationToken.None, CancellationToken.None);
        _events = new BatchedEvents(_source, OpenAiChatDialect.Create(), new BatchSettings(4, TimeSpan.FromMilliseconds(20)), _time, _cancellation);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        await _events.DisposeAsync();
        _batch.Dispose();
        _cancellation.Dispose();
    }

    [Fact]
    public async Task FirstToken_WithBatching_IsSentImmediately()
    {
        var reading = ReadAsync();
        _source.Send("a");
        Assert.Equal(["a"], await reading);
        Assert.False(_events.TimerUsed);
    }

    [Fact]
    public async Task FastTokens_Batched_AreSentFourAtATime()
    {
        await SendFirstAsync();
        var reading = ReadAsync();
        foreach (var text in (string[])["b", "c", "d"])
        {
            _time.Advance(TimeSpan.FromMilliseconds(5));
            await _source.SendAndSettleAsync(text);
            Assert.False(reading.IsCompleted);
        }
        _time.Advance(TimeSpan.FromMilliseconds(4));
        _source.Send("e");
        Assert.Equal(["bcde"], await reading);
    }

    [Fact]
    public async Task FewTokens_DelayElapsed_AreSent()
    {
        await SendFirstAsync();
        var reading = ReadAsync();
        _time.Advance(TimeSpan.FromMilliseconds(5));
        await _source.SendAndSettleAsync("b");
        _time.Advance(TimeSpan.FromMilliseconds(19));
        Assert.False(reading.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(["b"], await reading);
        // The read that was under way meanwhile is not lost.
        reading = ReadAsync();
        _source.Send("c");
        _source.End();
        Assert.Equal(["c"], await reading);
        Assert.Equal([], await ReadAsync());
    }

    [Fact]
    public async Task Stop_WithReadAheadPending_KeepsItsEvents()
    {
        await SendFirstAsync();
        var reading = ReadAsync();
        _time.Advance(TimeSpan.FromMilliseconds(5));
        await _source.SendAndSettleAsync("b");
        _time.Advance(TimeSpan.FromMilliseconds(20));
        Assert.Equal(["b"], await reading);
        // Made, and charged, while the piece before it was written.
        _source.Send("c");
        await _events.StopAsync();
        _batch.Clear();
        Assert.True(_events.TakeHeld(_batch));
        Assert.Equal(["c"], Texts());
        _batch.Clear();
        Assert.False(_events.TakeHeld(_batch));
    }

    [Fact]
    public async Task SlowModel_EachToken_IsDeliveredWithoutDelayOrTimer()
    {
        await SendFirstAsync();
        for (var i = 0; i < 20; i++)
        {
            var reading = ReadAsync();
            _time.Advance(TimeSpan.FromMilliseconds(100));
            _source.Send($"t{i}");
            Assert.Equal([$"t{i}"], await reading);
        }
        Assert.False(_events.TimerUsed);
    }

    [Fact]
    public async Task SlowModel_OccasionalFastToken_IsDeliveredWithoutDelay()
    {
        await SendFirstAsync();
        for (var i = 0; i < 20; i++)
        {
            var reading = ReadAsync();
            _time.Advance(TimeSpan.FromMilliseconds(i % 4 == 3 ? 10 : 100));
            _source.Send($"t{i}");
            Assert.Equal([$"t{i}"], await reading);
        }
        Assert.False(_events.TimerUsed);
    }

    [Fact]
    public async Task Batching_AfterOnePause_Resumes()
    {
        await SendFirstAsync();
        var reading = ReadAsync();
        _time.Advance(TimeSpan.FromSeconds(30));
        _source.Send("b");
        Assert.Equal(["b"], await reading);
        var sizes = new List<int>();
        for (var i = 0; i < 40; i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(5));
            _source.Send("x");
        }
        _source.End();
        while (await ReadAsync() is { Count: > 0 } texts) sizes.Add(texts[0].Length);
        Assert.Contains(4, sizes);
    }

    [Fact]
    public async Task Finish_BufferedTokens_AreSentImmediately()
    {
        await SendFirstAsync();
        var reading = ReadAsync();
        _time.Advance(TimeSpan.FromMilliseconds(5));
        await _source.SendAndSettleAsync("b");
        _source.Send(new ChoiceFinished(FinishReason.Stop));
        Assert.Equal(["b", "ChoiceFinished"], await reading);
    }

    [Fact]
    public async Task SourceThrows_HeldEvents_CanStillBeTaken()
    {
        await SendFirstAsync();
        var reading = ReadAsync();
        _time.Advance(TimeSpan.FromMilliseconds(5));
        await _source.SendAndSettleAsync("b");
        _source.Break(new OperationCanceledException());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
        Assert.True(_events.TakeHeld(_batch));
        Assert.Equal(["b"], Texts());
        Assert.False(_events.TakeHeld(_batch));
    }

    [Fact]
    public async Task FastTokens_BufferingSource_AreReadTogether()
    {
        _source.BuffersAhead = true;
        await SendFirstAsync();
        var reading = ReadAsync();
        _time.Advance(TimeSpan.FromMilliseconds(5));
        _source.Send("b");
        // The pace is known from here: four tokens in 20 ms.
        foreach (var text in (string[])["c", "d", "e"])
        {
            _time.Advance(TimeSpan.FromMilliseconds(5));
            _source.Send(text);
            Assert.False(_source.IsBeingRead);
            Assert.False(reading.IsCompleted);
        }
        _time.Advance(TimeSpan.FromMilliseconds(5));
        Assert.Equal(["bcde"], await reading);
    }

    [Fact]
    public async Task SlowModel_BufferingSource_IsReadWithoutDelay()
    {
        _source.BuffersAhead = true;
        await SendFirstAsync();
        for (var i = 0; i < 20; i++)
        {
            var reading = ReadAsync();
            _time.Advance(TimeSpan.FromMilliseconds(100));
            Assert.True(_source.IsBeingRead);
            _source.Send($"t{i}");
            Assert.Equal([$"t{i}"], await reading);
        }
        Assert.False(_events.TimerUsed);
    }

    [Fact]
    public async Task Dispose_DuringSourceRead_StopsReadFirst()
    {
        await SendFirstAsync();
        var reading = ReadAsync();
        _time.Advance(TimeSpan.FromMilliseconds(5));
        await _source.SendAndSettleAsync("b");
        _time.Advance(TimeSpan.FromMilliseconds(20));
        Assert.Equal(["b"], await reading);
        Assert.True(_source.IsBeingRead);
        await _events.DisposeAsync();
        Assert.False(_source.IsBeingRead);
        Assert.Equal(CancellationReason.ClientLeft, _cancellation.Reason);
    }

    private async Task SendFirstAsync()
    {
        _source.Send("a");
        Assert.Equal(["a"], await ReadAsync());
    }

    private async Task<List<string>> ReadAsync() => await _events.ReadAsync(_batch, _cancellation.Token) ? Texts() : [];

    private List<string> Texts() => [.. _batch.Items.Select(item => item.Event is TextDelta text ? text.Text : item.Event!.GetType().Name)];

    private sealed class Source : IEventSource
    {
        private readonly Channel<GenerationEvent> _events = Channel.CreateUnbounded<GenerationEvent>(new UnboundedChannelOptions { AllowSynchronousContinuations = true });
        private TaskCompletionSource _asked = new();

        public bool IsBeingRead { get; private set; }

        public bool BuffersAhead { get; set; }

        public void Send(string text) => Send(new TextDelta(text));

        public void Send(GenerationEvent generationEvent) => Assert.True(_events.Writer.TryWrite(generationEvent));

        /// <summary>Returns when the reader has taken it and asks for more.</summary>
        public async Task SendAndSettleAsync(string text)
        {
            _asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Send(text);
            await _asked.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancel);
        }

        public void End() => _events.Writer.Complete();

        public void Break(Exception exception) => _events.Writer.Complete(exception);

        public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            batch.Clear();
            IsBeingRead = true;
            try
            {
                if (!_events.Reader.TryRead(out var generationEvent))
                {
                    _asked.TrySetResult();
                    if (!await _events.Reader.WaitToReadAsync(cancellationToken)) return false;
                    generationEvent = await _events.Reader.ReadAsync(cancellationToken);
                }
                batch.Add(generationEvent);
                while (BuffersAhead && _events.Reader.TryRead(out var more)) batch.Add(more);
                return true;
            }
            finally
            {
                IsBeingRead = false;
            }
        }

        public ValueTask DisposeAsync() => default;
    }
}
