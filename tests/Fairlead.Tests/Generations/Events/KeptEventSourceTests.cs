using System.Reflection;
using System.Text;
using Fairlead.Conversation;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Storage;
using Fairlead.Streaming;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Generations.Events;

/// <summary>A reader of stored events outlives an outage of the database, as the generation itself does.</summary>
public sealed class KeptEventSourceTests : IDisposable
{
    private const string Id = "gen_00000000000000000000000001";

    private readonly TemporaryStorage _temporary = new(StorageProvider.Sqlite);
    private readonly ObservedTimeProvider _time = new(new DateTimeOffset(2026, 11, 29, 12, 0, 0, TimeSpan.Zero));
    private readonly IStorage _storage;
    private readonly GenerationStores _store;

    public KeptEventSourceTests()
    {
        _storage = GenerationStores.Open(_temporary);
        _store = GenerationStores.Of(_storage, _time);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _temporary.Dispose();

    [Fact]
    public async Task Read_DatabaseFailsAtEnd_WaitsAndEndsWithGenerationStatus()
    {
        var record = await EndedAsync();
        var failing = (FailingStore)(object)DispatchProxy.Create<IGenerationStore, FailingStore>();
        failing.Store = _store.Records;
        failing.FailuresLeft = 2;
        var followers = new GenerationFollowers(_store.Events, _storage, new EventMemory(0), _time, NullLogger<GenerationFollowers>.Instance);
        await using var events = new KeptEventSource(
            (IGenerationStore)(object)failing, _store.Events, new RunningGenerations(), followers, new MemoryBudget(() => 1L << 30), record);

        using var batch = new EventBatch();
        var texts = new List<string>();
        var reading = ReadAllAsync(events, batch, texts);
        for (var failure = 0; failure < 2; failure++)
        {
            // The pause of the reader; its follower has ended, so no other timer of this length exists.
            await _time.TimerAsync(TimeSpan.FromSeconds(1), Cancel);
            Assert.False(reading.IsCompleted);
            _time.Advance(TimeSpan.FromSeconds(1));
        }
        await reading;
        Assert.Equal(["hello"], texts);
        Assert.Equal(0, failing.FailuresLeft);
        Assert.Equal("done", Encoding.UTF8.GetString(events.Record!.Result!));
    }

    private static async Task ReadAllAsync(KeptEventSource events, EventBatch batch, List<string> texts)
    {
        while (await events.ReadAsync(batch, Cancel))
        {
            texts.AddRange(batch.Items.Select(item => item.Event).OfType<TextDelta>().Select(made => made.Text));
            batch.Clear();
        }
    }

    private async Task<GenerationRecord> EndedAsync()
    {
        var now = _time.GetUtcNow();
        await _store.Inserter.AddAsync(
            new GenerationRecord
            {
                Id = Id,
                OrganizationId = "org_1",
                ProjectId = "proj_1",
                KeyId = "key_1",
                RequestId = "req_1",
                Dialect = "openai.chat",
                Endpoint = "/v1/chat/completions",
                Model = "m",
                Class = "standard",
                Request = "{}"u8.ToArray(),
                Status = GenerationStatus.InProgress,
                Runs = 1,
                CreatedAt = now,
                AvailableAt = now,
            },
            "a", TimeSpan.FromHours(1), Cancel);
        Assert.Single(await _store.Events.AppendAsync("a", [new RunEvents(Id, 1, new(0, [new TextDelta("hello")]))], Cancel));
        var record = await _store.Records.FindAsync("proj_1", Id, GenerationBodies.None, null, Cancel);
        var end = new GenerationEnd(GenerationStatus.Completed, Outcome.Complete, 200, "done"u8.ToArray(), "{}"u8.ToArray(), now, now.AddHours(1));
        Assert.True(await _store.Ends.EndAsync(Id, "a", 1, end, NewEvents.None, Cancel));
        return record!;
    }

    /// <summary>Fails the next look-ups, as an exhausted pool of connections does.</summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Performance", "CA1852", Justification = "The proxy derives from it at run time.")]
    internal class FailingStore : DispatchProxy
    {
        public IGenerationStore Store { get; set; } = null!;

        public int FailuresLeft { get; set; }

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
        {
            if (targetMethod!.Name == nameof(IGenerationStore.FindAsync) && FailuresLeft > 0)
            {
                FailuresLeft--;
                return Task.FromException<GenerationRecord?>(new StorageException("The database is unavailable."));
            }
            return targetMethod.Invoke(Store, args);
        }
    }
}
