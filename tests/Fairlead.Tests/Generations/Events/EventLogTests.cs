using CsCheck;
using Fairlead.Conversation;
using Fairlead.Generations.Events;
using Fairlead.Streaming;

namespace Fairlead.Tests.Generations.Events;

public sealed class EventLogTests
{
    [Fact]
    public async Task EventLog_ReadersFromAnyPosition_GetEveryLaterEventOnceInOrder()
    {
        var log = new EventLog();
        var starts = new[] { 0, 0, 7, 150, 299 };
        var readers = starts.Select(start => Task.Run(() => ReadAllAsync(log.Read(start)), TestContext.Current.CancellationToken)).ToArray();
        using var batch = new EventBatch();
        for (var i = 0; i < 300; i++)
        {
            batch.Clear();
            batch.Add(new TextDelta($"{i}"));
            if (i % 3 == 0) batch.AddNative(System.Text.Encoding.UTF8.GetBytes($"n{i}"), 0, NativeEventTraits.Content);
            log.Append(batch);
        }
        log.Complete();
        var whole = await ReadAllAsync(log.Read());
        Assert.Equal(400, whole.Count);
        for (var i = 0; i < starts.Length; i++) Assert.Equal(whole.Skip(starts[i]), await readers[i]);
    }

    [Fact]
    public void EventLog_AnyWritePattern_ReadsSameSequence() =>
        Gen.Int[0, 5].Array[1, 40].Sample(sizes =>
        {
            var log = new EventLog();
            var expected = new List<string>();
            using var batch = new EventBatch();
            using var seen = new EventBatch();
            var got = new List<string>();
            var reader = log.Read();
            foreach (var size in sizes)
            {
                batch.Clear();
                for (var i = 0; i < size; i++)
                {
                    var text = $"e{expected.Count}";
                    expected.Add(text);
                    batch.Add(new TextDelta(text));
                }
                log.Append(batch);
                if (got.Count < expected.Count)
                {
                    var read = reader.ReadAsync(seen, CancellationToken.None);
                    Assert.True(read.IsCompletedSuccessfully);
                    got.AddRange(Texts(seen));
                }
            }
            Assert.Equal(expected, got);
        });

    [Fact]
    public async Task EventLog_ReadOfDiscardedEvents_ThrowsEventsNoLongerKept()
    {
        var log = new EventLog(maxBytes: 1000);
        using var batch = new EventBatch();
        for (var i = 0; i < 100; i++)
        {
            batch.Clear();
            batch.Add(new TextDelta(new string('x', 50)));
            log.Append(batch);
        }
        log.Complete();
        await Assert.ThrowsAsync<EventsNoLongerKeptException>(async () => await log.Read().ReadAsync(batch, TestContext.Current.CancellationToken));
        Assert.Equal(100, log.Count);
    }

    [Fact]
    public async Task Pump_ReaderCancels_ContinuesToEnd()
    {
        var release = new TaskCompletionSource();
        await using var logged = LoggedEvents.Start(new Paused(release.Task), TestContext.Current.CancellationToken);
        using var leaving = new CancellationTokenSource();
        var reader = logged.Events;
        using var batch = new EventBatch();
        Assert.True(await reader.ReadAsync(batch, leaving.Token));
        var waiting = reader.ReadAsync(batch, leaving.Token).AsTask();
        leaving.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        release.SetResult();
        await logged.Completion;
        Assert.Equal(["last"], await ReadAllAsync(logged.Events));
    }

    private static async Task<List<string>> ReadAllAsync(IEventSource source)
    {
        var all = new List<string>();
        using var batch = new EventBatch();
        while (await source.ReadAsync(batch, TestContext.Current.CancellationToken)) all.AddRange(Texts(batch));
        return all;
    }

    private static List<string> Texts(EventBatch batch)
    {
        var texts = new List<string>();
        foreach (var item in batch.Items) texts.Add(item.Event is TextDelta text ? text.Text : System.Text.Encoding.UTF8.GetString(batch.DataOf(item)));
        return texts;
    }

    private sealed class Paused(Task release) : IEventSource
    {
        private int _step;

        public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
        {
            batch.Clear();
            if (_step == 2) return false;
            if (_step == 1) await release.WaitAsync(cancellationToken);
            batch.Add(new TextDelta(_step++ == 0 ? "first" : "last"));
            return true;
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
