using System.Text;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Memory;
using Fairlead.Storage;
using Fairlead.Streaming;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Generations;

public sealed class SqliteExpiryWhileReadTests() : ExpiryWhileReadTests(StorageProvider.Sqlite);

public sealed class PostgresExpiryWhileReadTests() : ExpiryWhileReadTests(StorageProvider.Postgres);

/// <summary>
/// A generation expires while a client reads its events. No new request finds it, and the active reader reads to the end.
/// </summary>
public abstract class ExpiryWhileReadTests : IDisposable
{
    private static readonly TimeSpan Ttl = TimeSpan.FromMinutes(10);

    private readonly TemporaryStorage _temporary;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 29, 12, 0, 0, TimeSpan.Zero));
    private readonly IStorage _storage;
    private readonly GenerationStores _store;

    private protected ExpiryWhileReadTests(StorageProvider provider)
    {
        _temporary = new TemporaryStorage(provider);
        _storage = GenerationStores.Open(_temporary);
        _store = GenerationStores.Of(_storage, _time);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Read_GenerationExpiresWhileRead_IsReadToEnd(bool isFinalAtFirst)
    {
        var id = await BeginAsync();
        if (isFinalAtFirst) await EndAsync(id);
        var record = (await _store.Records.FindAsync("proj_1", id, GenerationBodies.Result, null, Cancel))!;
        // A log that holds next to nothing: the rest is read from the database, page by page.
        var followers = new GenerationFollowers(_store.Events, _storage, new EventMemory(0), _time, NullLogger<GenerationFollowers>.Instance);
        await using var events = new KeptEventSource(_store.Records, _store.Events, new RunningGenerations(), followers, new MemoryBudget(() => 1L << 30), record);
        using var batch = new EventBatch();
        Assert.True(await events.ReadAsync(batch, Cancel));
        var texts = TextsOf(batch).ToList();
        if (!isFinalAtFirst) await EndAsync(id);

        _time.Advance(Ttl + TimeSpan.FromSeconds(1));
        await SweepAsync();
        Assert.Null(await _store.Records.FindAsync("proj_1", id, GenerationBodies.None, null, Cancel));
        while (await events.ReadAsync(batch, Cancel)) texts.AddRange(TextsOf(batch));

        Assert.Equal(Enumerable.Range(0, 600).Select(number => number.ToString(System.Globalization.CultureInfo.InvariantCulture)), texts);
        Assert.Equal((GenerationStatus.Completed, "done"), (events.Record!.Status, Encoding.UTF8.GetString(events.Record.Result!)));
    }

    [Fact]
    public async Task Sweep_LongAfterExpiry_DeletesGeneration()
    {
        var id = await BeginAsync();
        await EndAsync(id);
        _time.Advance(Ttl + TimeSpan.FromMinutes(6));
        await SweepAsync();
        Assert.Null(await _store.Events.StateAsync(id, Cancel));
        Assert.Empty(await _store.Events.ReadAsync(id, 0, null, Cancel));
    }

    private static IEnumerable<string> TextsOf(EventBatch batch) => batch.Items.Select(item => item.Event).OfType<TextDelta>().Select(made => made.Text);

    private async Task SweepAsync()
    {
        using var expiry = new GenerationExpiry(_store.Deletion, _time, NullLogger<GenerationExpiry>.Instance);
        await expiry.SweepAsync(Cancel);
    }

    /// <summary>A generation with 600 events, each in its own row: more than the database returns at once.</summary>
    private async Task<string> BeginAsync()
    {
        const string Id = "gen_00000000000000000000000001";
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
                CreatedAt = _time.GetUtcNow(),
                AvailableAt = _time.GetUtcNow(),
            },
            "a",
            TimeSpan.FromHours(1),
            Cancel);
        for (var i = 0; i < 600; i++)
        {
            Assert.Single(await _store.Events.AppendAsync("a", [new RunEvents(Id, 1, new(i, [new TextDelta(i.ToString(System.Globalization.CultureInfo.InvariantCulture))]))], Cancel));
        }
        return Id;
    }

    private async Task EndAsync(string id)
    {
        var now = _time.GetUtcNow();
        Assert.True(await _store.Ends.EndAsync(id, "a", 1, new GenerationEnd(GenerationStatus.Completed, Outcome.Complete, 200, "done"u8.ToArray(), "{}"u8.ToArray(), now, now + Ttl), NewEvents.None, Cancel));
    }
}
