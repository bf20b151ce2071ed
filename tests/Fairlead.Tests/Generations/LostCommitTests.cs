using System.Text;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;

namespace Fairlead.Tests.Generations;

/// <summary>PostgreSQL has committed, and the response was lost; or it broke the transaction off. Either way everything is written once.</summary>
public sealed class LostCommitTests : IAsyncDisposable
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);
    private static readonly QueueLimits Limits = new(1, 1000);

    private readonly TemporaryStorage _temporary;
    private readonly WebhookDeliveryStore _deliveries;
    private readonly GenerationStores _store;
    private LossyPostgres _database = null!;
    private int _made;

    public LostCommitTests()
    {
        _temporary = new TemporaryStorage(direct => (_database = new LossyPostgres(direct)).ConnectionString);
        var storage = GenerationStores.Open(_temporary);
        var outbox = new WebhookOutbox(storage, new WebhookStore(storage, TimeProvider.System), TimeProvider.System);
        _deliveries = new WebhookDeliveryStore(storage, outbox);
        _store = new GenerationStores(storage, outbox, TimeProvider.System);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        _temporary.Dispose();
        await _database.DisposeAsync();
    }

    [Fact]
    public async Task Queue_CommitAcknowledgmentLost_IsQueuedOnce()
    {
        var record = Record();
        var lost = _database.LoseAsync("INSERT INTO generations ");
        // It has the only place of the queue, which it takes once.
        Assert.True(await _store.Inserter.TryQueueAsync(record, Limits, Cancel));
        await lost;
        Assert.Equal(record.Id, Assert.Single(await ListAsync()).Id);
        Assert.False(await _store.Inserter.TryQueueAsync(Record(), Limits, Cancel));
    }

    [Fact]
    public async Task Queue_CommitAcknowledgmentLostAndDatabaseUnavailable_ThrowsUnknownCommit()
    {
        await ListAsync();
        var lost = _database.LoseAsync("INSERT INTO generations ", closes: true);
        await Assert.ThrowsAsync<UnknownCommitException>(() => _store.Inserter.TryQueueAsync(Record(), Limits, Cancel));
        await lost;
        _database.Open();
        Assert.Single(await ListAsync());
    }

    [Fact]
    public async Task Add_CommitResponseLost_KeepsLease()
    {
        var record = Record() with { Status = GenerationStatus.InProgress, Runs = 1 };
        var lost = _database.LoseAsync("INSERT INTO generations ", alone: true);
        await _store.Inserter.AddAsync(record, "a", Lease, Cancel);
        await lost;
        Assert.Equal([(record.Id, 1)], await _store.Leases.HeldByAsync("a", Cancel));
    }

    [Fact]
    public async Task Append_RepeatedWithMoreAfterLostCommit_IsWrittenOnce()
    {
        var id = await BeginAsync();
        Assert.Equal([id], await AppendAsync(id, 0, "a"));
        foreach (var _ in (int[])[1, 2])
        {
            // Lost twice in a row: the third try brings what both have written, and more.
            var lost = _database.LoseAsync("INSERT INTO generation_events ");
            await Assert.ThrowsAnyAsync<Exception>(() => _ == 1 ? AppendAsync(id, 1, "b", "c") : AppendAsync(id, 1, "b", "c", "d"));
            await lost;
        }
        Assert.Equal([id], await AppendAsync(id, 1, "b", "c", "d", "e"));
        Assert.Equal([id], await AppendAsync(id, 1, "b", "c", "d", "e"));
        Assert.Equal(["a", "b", "c", "d", "e"], await TextsAsync(id));
        Assert.Equal((GenerationStatus.InProgress, 5), await _store.Events.StateAsync(id, Cancel));
    }

    [Fact]
    public async Task Append_ConflictingWriter_IsRefused()
    {
        var id = await BeginAsync();
        Assert.Equal([id], await AppendAsync(id, 0, "a", "b"));
        // Other events in their place; some of which there is only a part; some that leave a gap.
        Assert.Empty(await AppendAsync(id, 0, "a", "x", "c"));
        Assert.Empty(await AppendAsync(id, 0, "a"));
        Assert.Empty(await AppendAsync(id, 3, "d"));
        Assert.Equal(["a", "b"], await TextsAsync(id));
    }

    [Fact]
    public async Task End_CommitLostWithLastEvents_IsStoredOnceAndNotRunElsewhere()
    {
        var id = await BeginAsync("https://example.com/once");
        await AppendAsync(id, 0, "a");
        // The run's lease is over, as after its process died.
        Assert.Single(await _store.Leases.RenewAsync("a", [new RunProgress(id, 1, null)], TimeSpan.FromSeconds(-1), Cancel));
        var end = End();
        var lost = _database.LoseAsync("INSERT INTO generation_events ");
        Assert.True(await _store.Ends.EndAsync(id, "a", 1, end, Made(1, "b"), Cancel));
        await lost;
        Assert.Empty(await _store.Leases.TakeOverAsync("b", Lease, Cancel));
        Assert.Empty((await _store.Queue.LeaseAsync("b", Lease, 1, isIdle: true, Cancel)).Taken);

        // Asked again later it is its own end as well.
        Assert.True(await _store.Ends.EndAsync(id, "a", 1, end, Made(1, "b"), Cancel));
        Assert.False(await _store.Ends.EndAsync(id, "a", 1, end with { Result = "other"u8.ToArray() }, NewEvents.None, Cancel));
        Assert.Equal(["a", "b"], await TextsAsync(id));
        Assert.Single(await _deliveries.ListAsync("proj_1", null, null, "", 10, Cancel));
    }

    [Theory]
    [InlineData("40001")]
    [InlineData("40P01")]
    public async Task Write_AbortedAtCommit_IsWrittenOnce(string state)
    {
        await ListAsync();
        BreakOff("generations", state);
        BreakOff("generation_events", state);
        BreakOff("webhook_deliveries", state);
        var record = Record() with { WebhookUrl = "https://example.com/once" };
        Assert.True(await _store.Inserter.TryQueueAsync(record, Limits, Cancel));
        Assert.Equal(record.Id, Assert.Single((await _store.Queue.LeaseAsync("a", Lease, 1, isIdle: true, Cancel)).Taken).Id);
        Assert.Equal([record.Id], await AppendAsync(record.Id, 0, "a"));
        Assert.True(await _store.Ends.EndAsync(record.Id, "a", 1, End(), Made(1, "b"), Cancel));
        Assert.Single(await ListAsync());
        Assert.Equal(["a", "b"], await TextsAsync(record.Id));
        Assert.Single(await _deliveries.ListAsync("proj_1", null, null, "", 10, Cancel));
        Assert.Equal(["generation_events", "generations", "webhook_deliveries"], BrokenOff());
    }

    /// <summary>The first transaction that inserts into the table is broken off when it commits.</summary>
    private void BreakOff(string table, string state) => TestPostgres.Execute(_temporary.ConnectionString!, $"""
        CREATE SEQUENCE commits_of_{table};
        CREATE FUNCTION break_off_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('commits_of_{table}') = 1 THEN RAISE EXCEPTION 'broken off' USING ERRCODE = '{state}'; END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER break_off AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION break_off_{table}();
        """);

    /// <summary>Tables of which a transaction was broken off and run again.</summary>
    private List<string> BrokenOff()
    {
        using var connection = new Npgsql.NpgsqlConnection(_temporary.ConnectionString);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT substr(sequencename, 12) FROM pg_sequences WHERE sequencename LIKE 'commits_of_%' AND last_value > 1 ORDER BY 1";
        var tables = new List<string>();
        using var reader = command.ExecuteReader();
        while (reader.Read()) tables.Add(reader.GetString(0));
        return tables;
    }

    private async Task<string> BeginAsync(string? webhook = null)
    {
        await _store.Inserter.AddAsync(Record() with { WebhookUrl = webhook }, null, TimeSpan.Zero, Cancel);
        return Assert.Single((await _store.Queue.LeaseAsync("a", Lease, 1, isIdle: true, Cancel)).Taken).Id;
    }

    private Task<IReadOnlySet<string>> AppendAsync(string id, int first, params string[] texts) => _store.Events.AppendAsync("a", [new RunEvents(id, 1, Made(first, texts))], Cancel);

    private static NewEvents Made(int first, params string[] texts) => new(first, [.. texts.Select(text => new TextDelta(text))]);

    private async Task<IEnumerable<string>> TextsAsync(string id) => (await _store.Events.ReadAsync(id, 0, null, Cancel)).OfType<TextDelta>().Select(made => made.Text);

    private async Task<IReadOnlyList<GenerationRecord>> ListAsync() => (await _store.Records.ListAsync(new GenerationFilter("proj_1", null, 10), Cancel)).Rows;

    private GenerationRecord Record() => new()
    {
        Id = $"gen_{_made++:00000000000000000000000000}",
        OrganizationId = "org_1",
        ProjectId = "proj_1",
        KeyId = "key_1",
        RequestId = "req_1",
        Dialect = "openai.chat",
        Endpoint = "/v1/chat/completions",
        Model = "m",
        Class = "standard",
        Request = "{}"u8.ToArray(),
        CreatedAt = TimeProvider.System.GetUtcNow(),
        AvailableAt = TimeProvider.System.GetUtcNow(),
    };

    private static GenerationEnd End()
    {
        var now = TimeProvider.System.GetUtcNow();
        return new GenerationEnd(GenerationStatus.Completed, Outcome.Complete, 200, "done"u8.ToArray(), Encoding.UTF8.GetBytes("{}"), now, now.AddHours(1));
    }
}
