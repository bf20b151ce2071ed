using Fairlead.Conversation;
using Fairlead.Erasure;
using Fairlead.Idempotency;
using Fairlead.Responses;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Erasure;

/// <summary>What an erasure does while a store does not work, and what calls store after they were erased.</summary>
public sealed class ErasureWorkerTests : IDisposable
{
    private readonly TemporaryStorage _database = new();
    private readonly IStorage _storage;
    private readonly Store _first = new("first", 1);
    private readonly Store _second = new("second", 2);
    private readonly ErasureQueue _queue;
    private readonly ErasureWorker _worker;

    public ErasureWorkerTests()
    {
        _storage = _database.Open(new IdempotencySchema(), new ResponseSchema(), new ErasureSchema(), new ResponseOwnerSchema());
        _queue = new ErasureQueue(_storage, TimeProvider.System);
        _worker = new ErasureWorker(
            _storage, _queue, new ErasureCleaning(_storage, TimeProvider.System, NullLogger<ErasureCleaning>.Instance), [], [_first, _second],
            TimeProvider.System, NullLogger<ErasureWorker>.Instance);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _worker.Dispose();
        _database.Dispose();
    }

    [Fact]
    public async Task Run_StoreIsAway_ErasesTheOthersAndCompletesWhenItIsBack()
    {
        var id = await AddAsync(new ErasureSelector(ErasureKind.Key, "key_1", null, null));
        _first.Failure = new IOException("away");
        await RunAsync(rounds: 20);
        Assert.True(_second.Erased > 0);
        var row = await FindAsync(id);
        Assert.Equal((ErasureRow.Running, "first", null), (row.Status, row.WaitingFor, row.Error));

        _first.Failure = null;
        await RunAsync(rounds: 20);
        row = await FindAsync(id);
        Assert.Equal((ErasureRow.Completed, null, null), (row.Status, row.WaitingFor, row.Error));
        Assert.True(_first.Erased > 0);
    }

    [Fact]
    public async Task Run_StoreIsFaulty_FailsAfterTheOthersAndIsResumed()
    {
        var id = await AddAsync(new ErasureSelector(ErasureKind.Key, "key_1", null, null));
        _first.Failure = new InvalidOperationException();
        await RunAsync(rounds: 20);
        Assert.True(_second.Erased > 0);
        var row = await FindAsync(id);
        Assert.Equal((ErasureRow.Failed, nameof(InvalidOperationException)), (row.Status, row.Error));

        _first.Failure = null;
        await _queue.ResumeFailedAsync(Cancel);
        await RunAsync(rounds: 20);
        row = await FindAsync(id);
        Assert.Equal((ErasureRow.Completed, null), (row.Status, row.Error));
        Assert.True(_first.Erased > 0);
    }

    [Fact]
    public async Task Run_FailedErasureWithALateRecord_StartsAgain()
    {
        var id = await AddAsync(new ErasureSelector(ErasureKind.Key, "key_1", null, null));
        _first.Failure = new InvalidOperationException();
        await RunAsync(rounds: 20);
        _first.Failure = null;
        await using (var connection = await _storage.OpenAsync(Cancel))
        await using (var transaction = await _storage.Sql.BeginWriteAsync(connection, Cancel))
        {
            var failed = Assert.Single(await ErasureTable.AllAsync(connection, Cancel));
            await _queue.AddLateAsync(connection, failed, [new FoundCall("gen_1", "proj_1")], Cancel);
            await transaction.CommitAsync(Cancel);
        }
        await RunAsync(rounds: 20);
        Assert.True(_first.Erased > 0);
        // What failed before may have left something.
        Assert.Equal(ErasureRow.Failed, (await FindAsync(id)).Status);
    }

    [Fact]
    public async Task Run_UnknownGeneration_SaysSo()
    {
        var id = await AddAsync(new ErasureSelector(ErasureKind.Generation, "gen_1", null, null));
        await RunAsync(rounds: 2);
        var row = await FindAsync(id);
        Assert.Equal((ErasureRow.Completed, ErasureRow.NotFound), (row.Status, row.Error));
    }

    [Fact]
    public async Task Run_UnknownStep_LeavesItToAnotherNode()
    {
        var id = await AddAsync(new ErasureSelector(ErasureKind.Key, "key_1", null, null));
        await ExecuteAsync("UPDATE erasures SET step = 'newer'");
        await RunAsync(rounds: 1);
        var row = await FindAsync(id);
        Assert.Equal((ErasureRow.Running, "newer"), (row.Status, row.Step));
        Assert.Equal(0, _second.Erased);
    }

    /// <summary>The response and the outcome of a call are written after its audit record, by which an erasure may have found it.</summary>
    [Fact]
    public async Task Store_ErasedGeneration_StoresNothing()
    {
        await ExecuteAsync("INSERT INTO erased_generations (erasure_id, generation_id, project_id) VALUES ('era_1', 'gen_1', 'proj_1')");
        var now = TimeProvider.System.GetUtcNow();
        var responses = new DatabaseResponseStore(_storage, TimeProvider.System);
        var keys = new IdempotencyStore(_storage, TimeProvider.System);
        foreach (var number in (string[])["1", "2"])
        {
            await responses.SaveAsync(
                new StoredResponse("resp_" + number, "proj_1", "completed", null, now, now.AddDays(1), [1], [2], [3]), null, Cancel);
            var bound = new BoundKey([1], "gen_" + number, "run_1", now.AddMinutes(1), now.AddDays(1), 0, null, false, null);
            Assert.True(await keys.TryBindAsync("proj_1", "key" + number, bound, now, Cancel));
            await keys.CompleteAsync("proj_1", "key" + number, "gen_" + number, 200, "application/json", false, [1], Cancel);
        }
        Assert.Null(await responses.FindAsync("proj_1", "resp_1", StoredParts.None, null, Cancel));
        Assert.NotNull(await responses.FindAsync("proj_1", "resp_2", StoredParts.None, null, Cancel));
        Assert.Null(await keys.FindAsync("proj_1", "key1", null, Cancel));
        Assert.Equal(200, (await keys.FindAsync("proj_1", "key2", null, Cancel))!.Status);
    }

    /// <summary>A call that is about to store its outcome is waited for.</summary>
    [Fact]
    public async Task EraseIdempotencyKeys_RunningKey_WaitsForIt()
    {
        var now = TimeProvider.System.GetUtcNow();
        var keys = new IdempotencyStore(_storage, TimeProvider.System);
        await keys.TryBindAsync("proj_1", "a", new BoundKey([1], "gen_1", "run_1", now.AddMinutes(1), now.AddDays(1), 0, null, false, null), now, Cancel);
        await keys.TryBindAsync("proj_2", "b", new BoundKey([1], "gen_2", "run_1", now.AddMinutes(1), now.AddDays(1), 0, null, false, null), now, Cancel);
        await ExecuteAsync("INSERT INTO erased_generations (erasure_id, generation_id, project_id) VALUES ('era_1', 'gen_1', 'proj_1')");
        var target = new ErasureTarget(new ErasureRow
        {
            Id = "era_1", Selector = new ErasureSelector(ErasureKind.Generation, "gen_1", null, null), What = ErasureRow.All, CreatedAt = now,
        });
        var store = new ErasableIdempotencyKeys(_storage, TimeProvider.System);
        var step = await store.EraseAsync(target, "", Cancel);
        step = await store.EraseAsync(target, step.Next!, Cancel);
        Assert.Equal("", step.Next);
        Assert.True(step.Pause > TimeSpan.Zero);

        // As the call would have done, had it not known.
        await ExecuteAsync("UPDATE idempotency_keys SET status = 200 WHERE generation_id = 'gen_1'");
        step = await store.EraseAsync(target, "", Cancel);
        Assert.Equal(1, step.Count);
        step = await store.EraseAsync(target, step.Next!, Cancel);
        Assert.Null(step.Next);
        Assert.NotNull(await keys.FindAsync("proj_2", "b", null, Cancel));
    }

    /// <summary>A response may be kept for longer than the record of its call. Another organization's is not found.</summary>
    [Fact]
    public async Task Find_GenerationWithoutARecord_FindsItsResponseInTheOrganization()
    {
        var now = TimeProvider.System.GetUtcNow();
        await new DatabaseResponseStore(_storage, TimeProvider.System).SaveAsync(
            new StoredResponse("resp_1", "proj_1", "completed", null, now, now.AddDays(1), [1], [2], [3]), null, Cancel);
        foreach (var (organization, expected) in ((string?, int)[])[(null, 1), ("org_other", 0)])
        {
            var target = new ErasureTarget(new ErasureRow
            {
                Id = "era_1", Selector = new ErasureSelector(ErasureKind.Generation, "gen_1", null, organization), What = ErasureRow.All, CreatedAt = now,
            });
            Assert.Equal(expected, (await new ErasableResponses(_storage).FindAsync(target, "", Cancel)).Calls.Count);
        }
    }

    private async Task<string> AddAsync(ErasureSelector selector)
    {
        var row = new ErasureRow
        {
            Id = Ids.New(ErasureRow.Prefix, TimeProvider.System), Selector = selector, What = ErasureRow.All,
            CreatedAt = TimeProvider.System.GetUtcNow(),
        };
        // The table of the chains belongs to the audit.
        await ExecuteAsync("CREATE TABLE IF NOT EXISTS audit_chains (node TEXT, sequence BIGINT)");
        await using var connection = await _storage.OpenAsync(Cancel);
        await using var transaction = await _storage.Sql.BeginWriteAsync(connection, Cancel);
        await ErasureTable.InsertAsync(connection, row, Cancel);
        await transaction.CommitAsync(Cancel);
        return row.Id;
    }

    // As often as the pauses would let it run in a long time.
    private async Task RunAsync(int rounds)
    {
        for (var round = 0; round < rounds; round++)
        {
            await ExecuteAsync("UPDATE erasures SET next_at = 0");
            if (!await _worker.RunAsync(Cancel)) return;
        }
    }

    private async Task<ErasureRow> FindAsync(string id)
    {
        await using var connection = await _storage.OpenAsync(Cancel);
        return (await ErasureTable.FindAsync(connection, id, Cancel))!;
    }

    private Task<int> ExecuteAsync(string sql) => _storage.ExecuteAsync(sql, [], Cancel);

    private sealed class Store(string name, int order) : IErasable
    {
        public Exception? Failure { get; set; }

        public int Erased { get; private set; }

        public string Name => name;

        public int Order => order;

        public IReadOnlyList<string> Tables => [];

        public Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
        {
            if (Failure is not null) return Task.FromException<ErasureStep>(Failure);
            Erased++;
            return Task.FromResult(new ErasureStep(1, null));
        }
    }
}
