using Fairlead.Conversation;
using Fairlead.Generations.Events;
using Fairlead.Streaming;

namespace Fairlead.Tests.Generations.Events;

public sealed class EventMemoryTests
{
    [Fact]
    public async Task EventLogs_TotalAboveMemoryLimit_ReleaseOldestEvents()
    {
        var memory = new EventMemory(300_000);
        var logs = Enumerable.Range(0, 4).Select(_ => new EventLog(1_000_000, memory)).ToArray();
        for (var i = 0; i < 200; i++)
        {
            foreach (var log in logs) Append(log, new string('x', 500));
        }
        // Each log may store a few events, however much memory the others use.
        Assert.InRange(memory.Used, 4 * 32_000, 300_000 + (4 * 2_000));
        Assert.All(logs, log => Assert.Equal(200, log.Count));
        using var batch = new EventBatch();
        await Assert.ThrowsAsync<EventsNoLongerKeptException>(async () => await logs[0].Read().ReadAsync(batch, TestContext.Current.CancellationToken));
        Assert.True(await logs[0].Read(199).ReadAsync(batch, TestContext.Current.CancellationToken));

        foreach (var log in logs) log.Complete();
        foreach (var log in logs) log.Complete();
        Assert.Equal(0, memory.Used);
    }

    [Fact]
    public void EventLog_AboveItsOwnLimit_ReleasesOldEvents()
    {
        var memory = new EventMemory();
        var log = new EventLog(10_000, memory);
        for (var i = 0; i < 100; i++) Append(log, new string('x', 500));
        Assert.InRange(memory.Used, 1, 10_000);
    }

    private static void Append(EventLog log, string text)
    {
        using var batch = new EventBatch();
        batch.Add(new TextDelta(text));
        log.Append(batch);
    }
}
