using System.Text;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Generations;
using Fairlead.Generations.Events;
using Fairlead.Limits.Budgets;
using Fairlead.Providers;
using Fairlead.Storage;
using Fairlead.Tests.Storage;
using Fairlead.Webhooks;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Generations;

public sealed class SqliteGenerationStoreTests() : GenerationStoreTests(StorageProvider.Sqlite);

public sealed class PostgresGenerationStoreTests() : GenerationStoreTests(StorageProvider.Postgres);

public abstract class GenerationStoreTests : IDisposable
{
    private static readonly DateTimeOffset Start = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    private readonly TemporaryStorage _temporary;
    private readonly FakeTimeProvider _time = new(Start);
    private readonly GenerationStores _store;
    private int _made;

    private protected GenerationStoreTests(StorageProvider provider)
    {
        _temporary = new TemporaryStorage(provider);
        _store = Open();
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private DateTimeOffset Now => _time.GetUtcNow();

    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);

    /// <summary>A lease that has expired when it starts, so its process counts as dead by any clock.</summary>
    private static readonly TimeSpan Over = TimeSpan.FromSeconds(-1);

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Find_AddedRecord_ReturnsSameData()
    {
        var record = Record() with { Deadline = Start.AddMinutes(1), Model = "odd \u0001 name", Context = new RequestContext("2023-06-01", null, "fail=503"), Request = [0, 1, 255] };
        await _store.Inserter.AddAsync(record, null, TimeSpan.Zero, Cancel);
        var found = (await _store.Records.FindAsync("proj_1", record.Id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel))!;
        Assert.Equal(record.Request, found.Request);
        Assert.Equivalent(record with { Request = [], RequestBytes = 3 }, found with { Request = [] });
        // What was not asked for is not read, and its length is known all the same.
        var head = (await _store.Records.FindAsync("proj_1", record.Id, GenerationBodies.None, null, Cancel))!;
        Assert.Empty(head.Request);
        Assert.Equal((3, 0), (head.RequestBytes, head.ResultBytes));
        Assert.Equal(record.Request, await _store.Queue.RequestAsync(record.Id, Cancel));
        Assert.Null(await _store.Records.FindAsync("proj_2", record.Id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel));
        Assert.Null(await _store.Records.FindAsync("proj_1", "gen_\0'", GenerationBodies.Request | GenerationBodies.Result, null, Cancel));
    }

    [Fact]
    public async Task Hold_OfAJob_NamesTheProcessThatHasItInItsLease()
    {
        var (accepting, running) = (new BudgetHolder("node_a", 1), new BudgetHolder("node_b", 2));
        var storage = GenerationStores.Open(_temporary);
        var (first, second) = (Of(accepting), Of(running));
        var hold = new JobHold("model-1", 5, 70, 9);
        var record = Record() with { Hold = hold };
        await first.Inserter.AddAsync(record, null, TimeSpan.Zero, Cancel);
        await first.Inserter.AddAsync(Record(), null, TimeSpan.Zero, Cancel);
        var taken = (await second.Queue.LeaseAsync("b", Lease, 2, true, Cancel)).Taken;
        Assert.Equal([hold with { Holder = accepting }, null], taken.Select(one => one.Hold));
        // A run that lasts has reserved for itself.
        Assert.Equal(2, (await second.Leases.RenewAsync("b", [.. taken.Select(one => new RunProgress(one.Id, one.Runs, null))], Lease, Cancel)).Count);
        Assert.Equal(hold with { Holder = running }, (await FindAsync(record.Id))!.Hold);
        Assert.Null((await FindAsync(taken[1].Id))!.Hold);
        // Its lease was released: it counts by itself.
        await using (var connection = await storage.OpenAsync(Cancel))
        {
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, Cancel);
            await BudgetHolds.ReleaseAsync(storage, connection, "hold_node = @node AND hold_process = @process", [("@node", running.Node), ("@process", running.Process)], Cancel);
            await transaction.CommitAsync(Cancel);
        }
        Assert.Equal(hold, (await FindAsync(record.Id))!.Hold);
        Assert.Null((await FindAsync(taken[1].Id))!.Hold);

        GenerationStores Of(BudgetHolder holder) => new(storage, new WebhookOutbox(storage, new WebhookStore(storage, _time), _time), _time, holder);

        Task<GenerationRecord?> FindAsync(string id) => _store.Records.FindAsync("proj_1", id, GenerationBodies.None, null, Cancel);
    }

    [Fact]
    public async Task Queue_AtProjectLimit_RefusesMoreJobsOfThatProject()
    {
        var limits = new QueueLimits(3, 1000);
        for (var i = 0; i < 3; i++) Assert.True(await _store.Inserter.TryQueueAsync(Record(), limits, Cancel));
        Assert.False(await _store.Inserter.TryQueueAsync(Record(), limits, Cancel));
        Assert.True(await _store.Inserter.TryQueueAsync(Record() with { ProjectId = "proj_2" }, limits, Cancel));
        // A started generation no longer counts as waiting.
        await LeaseAsync("a", 1);
        Assert.True(await _store.Inserter.TryQueueAsync(Record(), limits, Cancel));
        Assert.False(await _store.Inserter.TryQueueAsync(Record(), limits, Cancel));
    }

    [Fact]
    public async Task Queue_AtByteLimit_AcceptsOnlyWhatFits()
    {
        var limits = new QueueLimits(100, 1000);
        Assert.True(await _store.Inserter.TryQueueAsync(Record() with { Request = new byte[900] }, limits, Cancel));
        Assert.False(await _store.Inserter.TryQueueAsync(Record() with { Request = new byte[101] }, limits, Cancel));
        Assert.True(await _store.Inserter.TryQueueAsync(Record() with { Request = new byte[100] }, limits, Cancel));
    }

    [Fact]
    public async Task Queue_ConcurrentInserts_NeverExceedLimit()
    {
        var taken = await Task.WhenAll(Enumerable.Range(0, 24).Select(_ => Task.Run(() => Open().Inserter.TryQueueAsync(Record(), new QueueLimits(5, 100_000), Cancel))));
        Assert.Equal(5, taken.Count(one => one));
    }

    [Fact]
    public async Task Lease_QueuedJobs_OrdersByClassThenAgeAndNeverTwice()
    {
        var bulk = await AddAsync("bulk");
        var first = await AddAsync("standard");
        var second = await AddAsync("standard");
        var urgent = await AddAsync("realtime");
        var taken = await LeaseAsync("a", 3);
        Assert.Equal([urgent, first, second], taken.Select(record => record.Id));
        Assert.All(taken, record => Assert.Equal((GenerationStatus.InProgress, 1, Now), (record.Status, record.Runs, record.StartedAt)));
        Assert.Equal([bulk], (await LeaseAsync("b", 3)).Select(record => record.Id));
        Assert.Empty(await LeaseAsync("b", 3));
    }

    [Fact]
    public async Task Lease_ByLine_TakesOnlyTheJobsOfItOrAllOthers()
    {
        var held = new JobLine("key_1", "m", "standard");
        var (first, second) = (await AddAsync("standard"), await AddAsync("standard"));
        var bulk = await AddAsync("bulk");
        var (key, model) = (Record() with { KeyId = "key_2" }, Record() with { Model = "it's\0other" });
        foreach (var record in new[] { key, model }) await _store.Inserter.AddAsync(record, null, TimeSpan.Zero, Cancel);
        var except = JobLineFilter.Except([held, held with { KeyId = "nobody" }, held with { Model = "it's\0other", KeyId = "key_2" }]);
        var others = await _store.Queue.LeaseAsync("a", Lease, 10, isIdle: true, except, Cancel);
        Assert.Equal([key.Id, model.Id, bulk], others.Taken.Select(record => record.Id));
        var one = await _store.Queue.LeaseAsync("a", Lease, 1, isIdle: true, JobLineFilter.Only(held), Cancel);
        Assert.Equal(first, Assert.Single(one.Taken).Id);
        Assert.Empty((await _store.Queue.LeaseAsync("a", Lease, 1, isIdle: true, JobLineFilter.Only(held with { Class = "bulk" }), Cancel)).Taken);
        Assert.Equal([second], (await LeaseAsync("a", 10)).Select(record => record.Id));
    }

    [Fact]
    public async Task Lease_ConcurrentNodes_LeasesEachJobOnce()
    {
        var ids = new List<string>();
        for (var i = 0; i < 60; i++) ids.Add(await AddAsync());
        var nodes = Enumerable.Range(0, 4).Select(number => (Name: $"n{number}", Store: Open())).ToArray();
        var taken = await Task.WhenAll(nodes.Select(node => Task.Run(async () =>
        {
            var mine = new List<string>();
            while ((await node.Store.Queue.LeaseAsync(node.Name, Lease, 3, true, Cancel)).Taken is { Count: > 0 } some) mine.AddRange(some.Select(record => record.Id));
            return mine;
        })));
        Assert.Equal(ids.Order(StringComparer.Ordinal), taken.SelectMany(mine => mine).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task TakeOver_LeaseExpired_RequeuesAsSuspectAndFencesFirstRun()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        Assert.Empty(await _store.Leases.TakeOverAsync("b", Lease, Cancel));
        Assert.Equal(GenerationStatus.InProgress, (await _store.Events.StateAsync(id, Cancel))!.Value.Status);
        await _store.Leases.RenewAsync("a", [new RunProgress(id, 1, null)], Over, Cancel);
        Assert.Empty(await _store.Leases.TakeOverAsync("b", Lease, Cancel));
        var again = Assert.Single(await LeaseAsync("b", 1));
        Assert.Equal((id, 2, 1, 1), (again.Id, again.Runs, again.Returns, again.Suspicion));

        Assert.Empty(await _store.Leases.RenewAsync("a", [new RunProgress(id, 1, null)], Lease, Cancel));
        Assert.False(await _store.Ends.EndAsync(id, "a", 1, End("late"), NewEvents.None, Cancel));
        Assert.Equal(GenerationReturn.Lost, await _store.Queue.ReturnAsync(id, "a", 1, TimeSpan.Zero, countRun: true, Cancel));
        Assert.True(await _store.Ends.EndAsync(id, "b", 2, End("right"), NewEvents.None, Cancel));
        Assert.False(await _store.Ends.EndAsync(id, "b", 2, End("twice"), NewEvents.None, Cancel));
        Assert.Equal("right", Encoding.UTF8.GetString((await _store.Records.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel))!.Result!));
    }

    [Fact]
    public async Task Lease_Suspects_RunAloneAndOneAtATimeAcrossNodes()
    {
        var suspects = new List<string>();
        for (var i = 0; i < 3; i++) suspects.Add(await AddAsync());
        await DieAsync("dead", 3);
        var fresh = await AddAsync();

        // A node that runs other generations is asked to let them end first.
        var busy = await _store.Queue.LeaseAsync("b", Lease, 4, isIdle: false, Cancel);
        Assert.Equal((0, true), (busy.Taken.Count, busy.IsClearing));
        var first = Assert.Single(await LeaseAsync("b", 4));
        Assert.Equal(suspects[0], first.Id);
        // Another node continues with the rest of the queue, and takes no second suspect meanwhile.
        Assert.Equal([fresh], (await LeaseAsync("c", 4)).Select(record => record.Id));
        Assert.Empty(await LeaseAsync("c", 4));
        Assert.True(await _store.Ends.EndAsync(first.Id, "b", 2, End("done"), NewEvents.None, Cancel));
        Assert.Equal([suspects[1]], (await LeaseAsync("c", 4)).Select(record => record.Id));
    }

    [Fact]
    public async Task TakeOver_SuspectThatRanAlone_IsNeverRunAgain()
    {
        var deadly = await AddAsync();
        var innocent = await AddAsync();
        await DieAsync("dead", 2);
        await DieAsync("dead2", 1);
        var guilty = Assert.Single(await _store.Leases.TakeOverAsync("b", Over, Cancel));
        Assert.Equal((deadly, -1, GenerationStatus.InProgress), (guilty.Id, guilty.Suspicion, guilty.Status));
        // The node that had to end the generation dies before it does. The next node gets the same suspicion.
        Assert.Equal((deadly, -1), (Assert.Single(await _store.Leases.TakeOverAsync("c", Lease, Cancel)) is { } still ? (still.Id, still.Suspicion) : default));
        Assert.True(await _store.Ends.EndAsync(deadly, "c", 4, End("guilty", Outcome.Failed), NewEvents.None, Cancel));
        var next = Assert.Single(await LeaseAsync("c", 4));
        Assert.Equal((innocent, 1, 1), (next.Id, next.Runs - next.Returns, next.Suspicion));
    }

    [Fact]
    public async Task TakeOver_SuspectThatDidNotRunAlone_IsRequeued()
    {
        var suspect = await AddAsync();
        await DieAsync("dead", 1);
        Assert.Equal(suspect, Assert.Single(await _store.Queue.LeaseAsync("dead2", Over, 1, true, Cancel) is { Taken: var taken } ? taken : []).Id);
        // A stream that began with its request ran beside it.
        var stream = Record() with { Status = GenerationStatus.InProgress, Runs = 1, StartedAt = Now };
        await _store.Inserter.AddAsync(stream, "dead2", Over, Cancel);
        Assert.Empty(await _store.Leases.TakeOverAsync("b", Lease, Cancel));
        Assert.Equal(2, (await _store.Records.FindAsync("proj_1", suspect, GenerationBodies.Request | GenerationBodies.Result, null, Cancel))!.Suspicion);
        Assert.Equal(1, (await _store.Records.FindAsync("proj_1", stream.Id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel))!.Suspicion);
    }

    [Fact]
    public async Task TakeOver_SlowButConnectedProcess_RaisesNoSuspicion()
    {
        var storage = OpenStorage();
        if (storage.Provider == StorageProvider.Sqlite) return;
        await AddAsync();
        await using (var presence = new NodePresence(storage, TimeProvider.System))
        {
            await presence.HoldAsync("slow", Cancel);
            await _store.Queue.LeaseAsync("slow", Over, 1, isIdle: true, Cancel);
            Assert.Empty(await _store.Leases.TakeOverAsync("b", Lease, Cancel));
            var again = Assert.Single((await _store.Queue.LeaseAsync("slow", Over, 1, isIdle: true, Cancel)).Taken);
            Assert.Equal((2, 1, 0), (again.Runs, again.Returns, again.Suspicion));
        }
        Assert.Empty(await _store.Leases.TakeOverAsync("b", Lease, Cancel));
        Assert.Equal(1, Assert.Single(await LeaseAsync("b", 1)).Suspicion);
    }

    [Fact]
    public async Task TakeOver_DatabaseHung_TakesNothing()
    {
        await AddAsync();
        await _store.Queue.LeaseAsync("dead", Over, 1, isIdle: true, Cancel);
        // Every look at this clock takes longer than a living holder needs to renew.
        var slow = Open(new FakeTimeProvider(Start.AddHours(1)) { AutoAdvanceAmount = Lease * 0.75 });
        Assert.Empty(await slow.Leases.TakeOverAsync("b", Lease, Cancel));
        Assert.Single(await _store.Leases.HeldByAsync("dead", Cancel));
        await _store.Leases.TakeOverAsync("b", Lease, Cancel);
        Assert.Empty(await _store.Leases.HeldByAsync("dead", Cancel));
    }

    [Fact]
    public async Task Presence_DatabaseStillHoldsLostConnection_OpensAnotherImmediately()
    {
        var storage = OpenStorage();
        await using var lost = new NodePresence(storage, TimeProvider.System);
        await lost.HoldAsync("node", Cancel);
        await using (var again = new NodePresence(storage, TimeProvider.System))
        {
            await again.HoldAsync("node", Cancel).WaitAsync(TimeSpan.FromSeconds(10), Cancel);
        }
        Assert.Equal(storage.Provider == StorageProvider.Sqlite, await IsGoneAsync());
        await lost.DisposeAsync();
        // The pool keeps both connections.
        Assert.True(await IsGoneAsync());

        async Task<bool> IsGoneAsync()
        {
            await using var connection = await OpenStorage().OpenAsync(Cancel);
            await using var transaction = await storage.Sql.BeginWriteAsync(connection, Cancel);
            return await storage.Sql.IsGoneAsync(transaction, "node", Cancel);
        }
    }

    [Fact]
    public async Task TakeOver_ProcessHasOneValidLease_TakesNoneOfItsRuns()
    {
        await AddAsync();
        var living = await AddAsync();
        await _store.Queue.LeaseAsync("a", Over, 2, true, Cancel);
        await _store.Leases.RenewAsync("a", [new RunProgress(living, 1, null)], Lease, Cancel);
        await _store.Leases.TakeOverAsync("b", Lease, Cancel);
        Assert.Equal(2, (await _store.Leases.HeldByAsync("a", Cancel)).Count);
    }

    [Fact]
    public async Task Return_RunThatDidNotCrash_ClearsSuspicion()
    {
        var id = await AddAsync();
        await DieAsync("dead", 1);
        await LeaseAsync("b", 1);
        Assert.Equal(GenerationReturn.Returned, await _store.Queue.ReturnAsync(id, "b", 2, TimeSpan.Zero, countRun: true, Cancel));
        Assert.Equal(0, Assert.Single(await LeaseAsync("b", 1)).Suspicion);
    }

    [Fact]
    public async Task Return_CancelRequested_KeepsLeaseUntilEnded()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        await _store.Records.CancelAsync("proj_1", id, End("x"), Cancel);
        Assert.Equal(GenerationReturn.CancelRequested, await _store.Queue.ReturnAsync(id, "a", 1, TimeSpan.FromMinutes(1), countRun: true, Cancel));
        Assert.True(await _store.Ends.EndAsync(id, "a", 1, End("cancelled", Outcome.Cancelled), NewEvents.None, Cancel));
    }

    [Fact]
    public async Task Lease_ClockSetBack_CausesNoExtraWait()
    {
        var clock = new SetClock(_time);
        var store = Open(clock);
        await AddAsync();
        clock.Shift = TimeSpan.FromHours(-3);
        Assert.Single((await store.Queue.LeaseAsync("a", Lease, 1, isIdle: true, Cancel)).Taken);
        var id = await AddAsync();
        await store.Queue.LeaseAsync("a", Lease, 1, isIdle: true, Cancel);
        await store.Queue.ReturnAsync(id, "a", 1, TimeSpan.FromMilliseconds(20), countRun: true, Cancel);
        clock.Shift = TimeSpan.FromHours(-6);
        Assert.Equal(id, (await WaitForOneAsync(store)).Id);
    }

    [Fact]
    public async Task Waiting_GivenIds_ReturnsOnlyQueued()
    {
        var waits = await AddAsync("bulk");
        var runs = await AddAsync();
        await LeaseAsync("a", 1);
        Assert.Equal([waits], await _store.Queue.WaitingAsync([waits, runs, "gen_none"], Cancel));
        Assert.Equal([(runs, 1)], await _store.Leases.HeldByAsync("a", Cancel));
    }

    [Fact]
    public async Task RenewAndAppend_OppositeOrders_NeverDeadlock()
    {
        var ids = new List<string>();
        for (var i = 0; i < 8; i++) ids.Add(await AddAsync());
        await LeaseAsync("a", 8);
        var other = Open();
        var renewing = Task.Run(async () =>
        {
            for (var i = 0; i < 40; i++) Assert.Equal(8, (await _store.Leases.RenewAsync("a", [.. ids.AsEnumerable().Reverse().Select(id => new RunProgress(id, 1, null))], Lease, Cancel)).Count);
        }, Cancel);
        for (var i = 0; i < 40; i++) Assert.Equal(8, (await other.Events.AppendAsync("a", [.. ids.Select(id => new RunEvents(id, 1, new(i, [new TextDelta("a")])))], Cancel)).Count);
        await renewing;
    }

    [Fact]
    public async Task Renew_HeldRun_KeepsProgressAndReportsCancellation()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        Assert.False((await _store.Leases.RenewAsync("a", [new RunProgress(id, 1, "so far"u8.ToArray())], Lease, Cancel))[id]);
        Assert.Equal("so far", Encoding.UTF8.GetString((await _store.Records.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel))!.Progress!));
        Assert.Equal(GenerationStatus.InProgress, await _store.Records.CancelAsync("proj_1", id, End("x"), Cancel));
        Assert.True((await _store.Leases.RenewAsync("a", [new RunProgress(id, 1, null)], Lease, Cancel))[id]);
        Assert.Equal("so far", Encoding.UTF8.GetString((await _store.Records.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel))!.Progress!));
    }

    [Fact]
    public async Task Cancel_QueuedGeneration_EndsItAndPreventsLease()
    {
        var id = await AddAsync();
        Assert.Null(await _store.Records.CancelAsync("proj_2", id, End("x"), Cancel));
        Assert.Equal(GenerationStatus.Queued, await _store.Records.CancelAsync("proj_1", id, End("cancelled", Outcome.Cancelled), Cancel));
        Assert.Equal(GenerationStatus.Cancelled, await _store.Records.CancelAsync("proj_1", id, End("again", Outcome.Cancelled), Cancel));
        var found = (await _store.Records.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel))!;
        Assert.Equal((GenerationStatus.Cancelled, Outcome.Cancelled), (found.Status, found.Outcome!.Value));
        Assert.Equal("cancelled", Encoding.UTF8.GetString(found.Result!));
        Assert.Empty(await LeaseAsync("a", 1));
    }

    [Fact]
    public async Task Events_LeasedRun_AreNumberedAndReadableFromAnyBatch()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        Assert.Equal([id], await _store.Events.AppendAsync("a", [new RunEvents(id, 1, new(0, [new TextDelta("a"), new TextDelta("b")]))], Cancel));
        Assert.Equal([id], await _store.Events.AppendAsync("a", [new RunEvents(id, 1, new(2, [new TextDelta("c")]))], Cancel));
        Assert.Equal(["a", "b", "c"], Texts(await _store.Events.ReadAsync(id, 0, null, Cancel)));
        Assert.Equal(["c"], Texts(await _store.Events.ReadAsync(id, 2, null, Cancel)));
        Assert.Equal(["b", "c"], Texts(await _store.Events.ReadAsync(id, 1, null, Cancel)));
        Assert.Empty(await _store.Events.ReadAsync(id, 3, null, Cancel));
        Assert.Equal((GenerationStatus.InProgress, 3), await _store.Events.StateAsync(id, Cancel));

        Assert.True(await _store.Ends.EndAsync(id, "a", 1, End("done"), new(3, [new TextDelta("d")]), Cancel));
        Assert.Equal((GenerationStatus.Completed, 4), await _store.Events.StateAsync(id, Cancel));
        Assert.Equal(4, (await _store.Records.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel))!.EventCount);
        Assert.True(await _store.Deletion.DeleteAsync("proj_1", id, Cancel));
        Assert.Empty(await _store.Events.ReadAsync(id, 0, null, Cancel));
        Assert.Null(await _store.Events.StateAsync("gen_none", Cancel));
    }

    [Fact]
    public async Task Events_RunTakenOver_AreNotWritten()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        await _store.Events.AppendAsync("a", [new RunEvents(id, 1, new(0, [new TextDelta("a")]))], Cancel);
        await _store.Leases.RenewAsync("a", [new RunProgress(id, 1, null)], Over, Cancel);
        await _store.Leases.TakeOverAsync("b", Lease, Cancel);
        var again = Assert.Single(await LeaseAsync("b", 1));
        Assert.Equal(1, again.EventCount);
        Assert.Empty(await _store.Events.AppendAsync("a", [new RunEvents(id, 1, new(1, [new TextDelta("late")]))], Cancel));
        Assert.False(await _store.Ends.EndAsync(id, "a", 1, End("late"), new(1, [new TextDelta("late")]), Cancel));
        await _store.Events.AppendAsync("b", [new RunEvents(id, 2, new(1, [new GenerationRestarted(2), new TextDelta("b")]))], Cancel);
        Assert.Equal(["a", "b"], Texts(await _store.Events.ReadAsync(id, 0, null, Cancel)));
    }

    [Fact]
    public async Task Events_ExpiredGeneration_AreDeletedWithIt()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        Assert.True(await _store.Ends.EndAsync(id, "a", 1, End("done"), new(0, [new TextDelta("a")]), Cancel));
        Assert.Equal(1, await _store.Deletion.DeleteExpiredAsync(Now.AddDays(1), Cancel));
        Assert.Empty(await _store.Events.ReadAsync(id, 0, null, Cancel));
    }

    private static IEnumerable<string> Texts(IReadOnlyList<GenerationEvent> events) => events.OfType<TextDelta>().Select(text => text.Text);

    [Fact]
    public async Task Return_WithDelay_IsNotLeasedUntilDelayPasses()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        Assert.Equal(GenerationReturn.Returned, await _store.Queue.ReturnAsync(id, "a", 1, TimeSpan.FromHours(1), countRun: false, Cancel));
        Assert.Empty(await LeaseAsync("a", 1));
        var brief = await AddAsync();
        await LeaseAsync("a", 1);
        await _store.Queue.ReturnAsync(brief, "a", 1, TimeSpan.FromMilliseconds(20), countRun: false, Cancel);
        var again = await WaitForOneAsync(_store);
        Assert.Equal((brief, 2, 1, Start), (again.Id, again.Runs, again.Returns, again.StartedAt));
    }

    [Fact]
    public async Task ReleaseAll_RunsOfDeadProcess_CanBeLeasedImmediately()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        await _store.Leases.ReleaseAllAsync(Cancel);
        await _store.Leases.TakeOverAsync("b", Lease, Cancel);
        Assert.Equal(id, Assert.Single(await LeaseAsync("b", 1)).Id);
    }

    [Fact]
    public async Task Add_AlreadyRunning_IsNotLeasedWhileLeaseIsValid()
    {
        var record = Record() with { Status = GenerationStatus.InProgress, Runs = 1, StartedAt = Now };
        await _store.Inserter.AddAsync(record, "a", Lease, Cancel);
        await _store.Leases.TakeOverAsync("b", Lease, Cancel);
        Assert.Empty(await LeaseAsync("b", 1));
        Assert.True(await _store.Ends.EndAsync(record.Id, "a", 1, End("done"), NewEvents.None, Cancel));
    }

    [Fact]
    public async Task Position_QueuedJob_CountsJobsAhead()
    {
        await AddAsync();
        await AddAsync("bulk");
        var record = Record();
        await _store.Inserter.AddAsync(record, null, TimeSpan.Zero, Cancel);
        Assert.Equal(1, await _store.Records.PositionAsync(record, Cancel));
    }

    [Fact]
    public async Task List_WithFilters_PaginatesNewestFirst()
    {
        var ids = new List<string>();
        for (var i = 0; i < 4; i++) ids.Add(await AddAsync());
        await _store.Inserter.AddAsync(Record() with { ProjectId = "proj_2" }, null, TimeSpan.Zero, Cancel);
        await LeaseAsync("a", 1);
        var all = (await _store.Records.ListAsync(new GenerationFilter("proj_1", null, 10), Cancel)).Rows;
        Assert.Equal(ids.AsEnumerable().Reverse(), all.Select(record => record.Id));
        Assert.Equal(ids.Take(2).Reverse(), (await _store.Records.ListAsync(new GenerationFilter("proj_1", ids[2], 10) { Models = ["m", "other"] }, Cancel)).Rows.Select(record => record.Id));
        Assert.Equal(ids.Take(1), (await _store.Records.ListAsync(new GenerationFilter("proj_1", null, 10) { Status = GenerationStatus.InProgress }, Cancel)).Rows.Select(record => record.Id));
        Assert.Empty((await _store.Records.ListAsync(new GenerationFilter("proj_1", null, 10) { Models = ["other"] }, Cancel)).Rows);
    }

    [Fact]
    public async Task List_FewMatch_LooksAtTheRowsOfOneWindow()
    {
        var ids = new List<string>();
        for (var i = 0; i < 4; i++) ids.Add(await AddAsync());
        var filter = new GenerationFilter("proj_1", null, 10) { Models = ["other"], Window = 2 };
        var first = await _store.Records.ListAsync(filter, Cancel);
        Assert.Equal((0, ids[2]), (first.Rows.Count, first.Last));
        var second = await _store.Records.ListAsync(filter with { Before = first.Last }, Cancel);
        Assert.Equal((0, ids[0]), (second.Rows.Count, second.Last));
        Assert.Null((await _store.Records.ListAsync(filter with { Before = second.Last }, Cancel)).Last);
        // The time is a condition on the ids, too.
        var all = await _store.Records.ListAsync(filter with { Models = null, CreatedAfter = DateTimeOffset.UnixEpoch, CreatedBefore = DateTimeOffset.MaxValue }, Cancel);
        Assert.Equal([ids[3], ids[2]], all.Rows.Select(record => record.Id));
        var none = await _store.Records.ListAsync(filter with { Models = null, CreatedAfter = DateTimeOffset.UnixEpoch.AddDays(1) }, Cancel);
        Assert.Equal((0, null), (none.Rows.Count, none.Last));
    }

    [Fact]
    public async Task Expire_AfterExpiry_IsDeleted()
    {
        var id = await AddAsync();
        await LeaseAsync("a", 1);
        await _store.Ends.EndAsync(id, "a", 1, End("done"), NewEvents.None, Cancel);
        Assert.Equal(0, await _store.Deletion.DeleteExpiredAsync(Now, Cancel));
        _time.Advance(TimeSpan.FromHours(2));
        // Not shown from the moment on, whether or not it was swept yet.
        Assert.Null(await _store.Records.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, null, Cancel));
        Assert.Equal(1, await _store.Deletion.DeleteExpiredAsync(Now, Cancel));
    }

    private async Task<IReadOnlyList<GenerationRecord>> LeaseAsync(string owner, int most) => (await _store.Queue.LeaseAsync(owner, Lease, most, isIdle: true, Cancel)).Taken;

    /// <summary>A process takes what it can of the queue and is gone.</summary>
    private async Task DieAsync(string owner, int most)
    {
        Assert.Equal(most, (await _store.Queue.LeaseAsync(owner, Over, most, isIdle: true, Cancel)).Taken.Count);
        if (owner == "dead") Assert.Empty(await _store.Leases.TakeOverAsync("undertaker", Lease, Cancel));
    }

    /// <summary>Takes one as soon as its pause is over, by the clock of whichever database.</summary>
    private async Task<GenerationRecord> WaitForOneAsync(GenerationStores store)
    {
        for (var looks = 0; ; looks++)
        {
            if ((await store.Queue.LeaseAsync("a", Lease, 1, isIdle: true, Cancel)).Taken is [var taken]) return taken;
            Assert.True(looks < 1000, "Its pause does not end.");
            _time.Advance(TimeSpan.FromMilliseconds(50));
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        }
    }

    private IStorage OpenStorage() => GenerationStores.Open(_temporary);

    private GenerationStores Open(TimeProvider? clock = null) => GenerationStores.Of(OpenStorage(), _time, clock);

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
        CreatedAt = Now,
        AvailableAt = Now,
    };

    private async Task<string> AddAsync(string priority = "standard")
    {
        var record = Record() with { Class = priority };
        await _store.Inserter.AddAsync(record, null, TimeSpan.Zero, Cancel);
        return record.Id;
    }

    private GenerationEnd End(string result, Outcome outcome = Outcome.Complete) =>
        new(outcome.ToStatus(), outcome, 200, Encoding.UTF8.GetBytes(result), "{}"u8.ToArray(), Now, Now.AddHours(1));

    /// <summary>A system's clock that is set while time passes as before.</summary>
    private sealed class SetClock(TimeProvider inner) : TimeProvider
    {
        public TimeSpan Shift { get; set; }

        public override long TimestampFrequency => inner.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => inner.GetUtcNow() + Shift;

        public override long GetTimestamp() => inner.GetTimestamp();
    }
}
