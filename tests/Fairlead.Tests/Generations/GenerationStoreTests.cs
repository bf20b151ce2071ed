using System.Text;
using Fairlead.Generations;
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
    private readonly GenerationStore _store;
    private int _made;

    private protected GenerationStoreTests(StorageProvider provider)
    {
        _temporary = new TemporaryStorage(provider);
        _store = Open();
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private DateTimeOffset Now => _time.GetUtcNow();

    private DateTimeOffset Until => Now + TimeSpan.FromSeconds(30);

    public void Dispose()
    {
        _temporary.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Find_Added_IsTheSame()
    {
        var record = Record() with { Deadline = Start.AddMinutes(1), Model = "odd \u0001 name", Context = new RequestContext("2023-06-01", null, "fail=503"), Request = [0, 1, 255] };
        await _store.AddAsync(record, null, default, Cancel);
        var found = (await _store.FindAsync("proj_1", record.Id, GenerationBodies.Request | GenerationBodies.Result, Cancel))!;
        Assert.Equal(record.Request, found.Request);
        Assert.Equivalent(record with { Request = [], RequestBytes = 3 }, found with { Request = [] });
        // What was not asked for is not read, and its length is known all the same.
        var head = (await _store.FindAsync("proj_1", record.Id, GenerationBodies.None, Cancel))!;
        Assert.Empty(head.Request);
        Assert.Equal((3, 0), (head.RequestBytes, head.ResultBytes));
        Assert.Equal(record.Request, await _store.RequestAsync(record.Id, Cancel));
        Assert.Null(await _store.FindAsync("proj_2", record.Id, GenerationBodies.Request | GenerationBodies.Result, Cancel));
        Assert.Null(await _store.FindAsync("proj_1", "gen_\0'", GenerationBodies.Request | GenerationBodies.Result, Cancel));
    }

    [Fact]
    public async Task Queue_AtItsLimit_TakesNoMoreOfTheProject()
    {
        var limits = new QueueLimits(3, 1000);
        for (var i = 0; i < 3; i++) Assert.True(await _store.TryQueueAsync(Record(), limits, Cancel));
        Assert.False(await _store.TryQueueAsync(Record(), limits, Cancel));
        Assert.True(await _store.TryQueueAsync(Record() with { ProjectId = "proj_2" }, limits, Cancel));
        // One that has begun waits no more.
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        Assert.True(await _store.TryQueueAsync(Record(), limits, Cancel));
        Assert.False(await _store.TryQueueAsync(Record(), limits, Cancel));
    }

    [Fact]
    public async Task Queue_AtItsBytes_TakesOnlyWhatFits()
    {
        var limits = new QueueLimits(100, 1000);
        Assert.True(await _store.TryQueueAsync(Record() with { Request = new byte[900] }, limits, Cancel));
        Assert.False(await _store.TryQueueAsync(Record() with { Request = new byte[101] }, limits, Cancel));
        Assert.True(await _store.TryQueueAsync(Record() with { Request = new byte[100] }, limits, Cancel));
    }

    [Fact]
    public async Task Queue_ManyAtOnce_NeverHasMoreThanItsLimit()
    {
        var taken = await Task.WhenAll(Enumerable.Range(0, 24).Select(_ => Task.Run(() => Open().TryQueueAsync(Record(), new QueueLimits(5, 100_000), Cancel))));
        Assert.Equal(5, taken.Count(one => one));
    }

    [Fact]
    public async Task Lease_ByClassThenAge_AndNeverTwice()
    {
        var bulk = await AddAsync("bulk");
        var first = await AddAsync("standard");
        var second = await AddAsync("standard");
        var urgent = await AddAsync("realtime");
        var taken = await _store.LeaseAsync("a", Now, Until, 3, Cancel);
        Assert.Equal([urgent, first, second], taken.Select(record => record.Id));
        Assert.All(taken, record => Assert.Equal((GenerationStatus.InProgress, 1, Now), (record.Status, record.Runs, record.StartedAt)));
        Assert.Equal([bulk], (await _store.LeaseAsync("b", Now, Until, 3, Cancel)).Select(record => record.Id));
        Assert.Empty(await _store.LeaseAsync("b", Now, Until, 3, Cancel));
    }

    [Fact]
    public async Task Lease_ManyNodesAtOnce_EachIsTakenOnce()
    {
        var ids = new List<string>();
        for (var i = 0; i < 60; i++) ids.Add(await AddAsync());
        var nodes = Enumerable.Range(0, 4).Select(number => (Name: $"n{number}", Store: Open())).ToArray();
        var taken = await Task.WhenAll(nodes.Select(node => Task.Run(async () =>
        {
            var mine = new List<string>();
            while (await node.Store.LeaseAsync(node.Name, Now, Until, 3, Cancel) is { Count: > 0 } some) mine.AddRange(some.Select(record => record.Id));
            return mine;
        })));
        Assert.Equal(ids.Order(StringComparer.Ordinal), taken.SelectMany(mine => mine).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Lease_RunOut_IsTakenOver_AndTheFirstRunCanWriteNothing()
    {
        var id = await AddAsync();
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        Assert.Empty(await _store.LeaseAsync("b", Now, Until, 1, Cancel));
        _time.Advance(TimeSpan.FromSeconds(31));
        var again = Assert.Single(await _store.LeaseAsync("b", Now, Until, 1, Cancel));
        Assert.Equal((id, 2), (again.Id, again.Runs));

        Assert.Empty(await _store.RenewAsync("a", [new RunProgress(id, 1, null)], Until, Cancel));
        Assert.False(await _store.EndAsync(id, "a", 1, End("late"), [], Cancel));
        Assert.False(await _store.ReturnAsync(id, "a", 1, Now, countRun: true, Cancel));
        Assert.True(await _store.EndAsync(id, "b", 2, End("right"), [], Cancel));
        Assert.False(await _store.EndAsync(id, "b", 2, End("twice"), [], Cancel));
        Assert.Equal("right", Encoding.UTF8.GetString((await _store.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, Cancel))!.Result!));
    }

    [Fact]
    public async Task Renew_HeldRun_KeepsProgressAndTellsOfCancel()
    {
        var id = await AddAsync();
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        Assert.False((await _store.RenewAsync("a", [new RunProgress(id, 1, "so far"u8.ToArray())], Until, Cancel))[id]);
        Assert.Equal("so far", Encoding.UTF8.GetString((await _store.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, Cancel))!.Progress!));
        Assert.Equal(GenerationStatus.InProgress, await _store.CancelAsync("proj_1", id, End("x"), Cancel));
        Assert.True((await _store.RenewAsync("a", [new RunProgress(id, 1, null)], Until, Cancel))[id]);
        Assert.Equal("so far", Encoding.UTF8.GetString((await _store.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, Cancel))!.Progress!));
    }

    [Fact]
    public async Task Cancel_Waiting_EndsIt_AndNobodyLeasesIt()
    {
        var id = await AddAsync();
        Assert.Null(await _store.CancelAsync("proj_2", id, End("x"), Cancel));
        Assert.Equal(GenerationStatus.Queued, await _store.CancelAsync("proj_1", id, End("cancelled", Outcome.Cancelled), Cancel));
        Assert.Equal(GenerationStatus.Cancelled, await _store.CancelAsync("proj_1", id, End("again", Outcome.Cancelled), Cancel));
        var found = (await _store.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, Cancel))!;
        Assert.Equal((GenerationStatus.Cancelled, Outcome.Cancelled), (found.Status, found.Outcome!.Value));
        Assert.Equal("cancelled", Encoding.UTF8.GetString(found.Result!));
        Assert.Empty(await _store.LeaseAsync("a", Now, Until, 1, Cancel));
    }

    [Fact]
    public async Task Events_OfAHeldRun_AreNumberedAndReadFromAnyBatch()
    {
        var id = await AddAsync();
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        Assert.Equal([id], await _store.AppendEventsAsync("a", [new RunEvents(id, 1, [new TextDelta("a"), new TextDelta("b")])], Cancel));
        Assert.Equal([id], await _store.AppendEventsAsync("a", [new RunEvents(id, 1, [new TextDelta("c")])], Cancel));
        Assert.Equal(["a", "b", "c"], Texts(await _store.ReadEventsAsync(id, 0, Cancel)));
        Assert.Equal(["c"], Texts(await _store.ReadEventsAsync(id, 2, Cancel)));
        Assert.Equal(["b", "c"], Texts(await _store.ReadEventsAsync(id, 1, Cancel)));
        Assert.Empty(await _store.ReadEventsAsync(id, 3, Cancel));
        Assert.Equal((GenerationStatus.InProgress, 3), await _store.StateAsync(id, Cancel));

        Assert.True(await _store.EndAsync(id, "a", 1, End("done"), [new TextDelta("d")], Cancel));
        Assert.Equal((GenerationStatus.Completed, 4), await _store.StateAsync(id, Cancel));
        Assert.Equal(4, (await _store.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, Cancel))!.EventCount);
        Assert.True(await _store.ForgetAsync("proj_1", id, Cancel));
        Assert.Empty(await _store.ReadEventsAsync(id, 0, Cancel));
        Assert.Null(await _store.StateAsync("gen_none", Cancel));
    }

    [Fact]
    public async Task Events_OfARunThatWasTakenOver_AreNotWritten()
    {
        var id = await AddAsync();
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        await _store.AppendEventsAsync("a", [new RunEvents(id, 1, [new TextDelta("a")])], Cancel);
        _time.Advance(TimeSpan.FromSeconds(31));
        var again = Assert.Single(await _store.LeaseAsync("b", Now, Until, 1, Cancel));
        Assert.Equal(1, again.EventCount);
        Assert.Empty(await _store.AppendEventsAsync("a", [new RunEvents(id, 1, [new TextDelta("late")])], Cancel));
        Assert.False(await _store.EndAsync(id, "a", 1, End("late"), [new TextDelta("late")], Cancel));
        await _store.AppendEventsAsync("b", [new RunEvents(id, 2, [new GenerationRestarted(2), new TextDelta("b")])], Cancel);
        Assert.Equal(["a", "b"], Texts(await _store.ReadEventsAsync(id, 0, Cancel)));
    }

    [Fact]
    public async Task Events_OfOneThatExpired_GoWithIt()
    {
        var id = await AddAsync();
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        Assert.True(await _store.EndAsync(id, "a", 1, End("done"), [new TextDelta("a")], Cancel));
        Assert.Equal(1, await _store.ExpireAsync(Now.AddDays(1), Cancel));
        Assert.Empty(await _store.ReadEventsAsync(id, 0, Cancel));
    }

    private static IEnumerable<string> Texts(IReadOnlyList<GenerationEvent> events) => events.OfType<TextDelta>().Select(text => text.Text);

    [Fact]
    public async Task Return_WithAPause_WaitsForIt()
    {
        var id = await AddAsync();
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        Assert.True(await _store.ReturnAsync(id, "a", 1, Now + TimeSpan.FromSeconds(5), countRun: false, Cancel));
        Assert.Empty(await _store.LeaseAsync("a", Now, Until, 1, Cancel));
        _time.Advance(TimeSpan.FromSeconds(5));
        var again = Assert.Single(await _store.LeaseAsync("a", Now, Until, 1, Cancel));
        Assert.Equal((2, 1, Start), (again.Runs, again.Returns, again.StartedAt));
    }

    [Fact]
    public async Task ReleaseAll_RunsOfAProcessThatIsGone_AreTakenAtOnce()
    {
        var id = await AddAsync();
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        await _store.ReleaseAllAsync(Cancel);
        Assert.Equal(id, Assert.Single(await _store.LeaseAsync("b", Now, Until, 1, Cancel)).Id);
    }

    [Fact]
    public async Task Add_RunningAlready_IsNotLeasedWhileItsLeaseHolds()
    {
        var record = Record() with { Status = GenerationStatus.InProgress, Runs = 1, StartedAt = Now };
        await _store.AddAsync(record, "a", Until, Cancel);
        Assert.Empty(await _store.LeaseAsync("b", Now, Until, 1, Cancel));
        Assert.True(await _store.EndAsync(record.Id, "a", 1, End("done"), [], Cancel));
    }

    [Fact]
    public async Task Position_CountsThoseBefore()
    {
        await AddAsync();
        await AddAsync("bulk");
        var record = Record();
        await _store.AddAsync(record, null, default, Cancel);
        Assert.Equal(1, await _store.PositionAsync(record, Cancel));
    }

    [Fact]
    public async Task List_FiltersAndPagesBackInTime()
    {
        var ids = new List<string>();
        for (var i = 0; i < 4; i++) ids.Add(await AddAsync());
        await _store.AddAsync(Record() with { ProjectId = "proj_2" }, null, default, Cancel);
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        var all = await _store.ListAsync(new GenerationFilter("proj_1", null, null, null, 10), Cancel);
        Assert.Equal(ids.AsEnumerable().Reverse(), all.Select(record => record.Id));
        Assert.Equal(ids.Take(2).Reverse(), (await _store.ListAsync(new GenerationFilter("proj_1", null, "m", ids[2], 10), Cancel)).Select(record => record.Id));
        Assert.Equal(ids.Take(1), (await _store.ListAsync(new GenerationFilter("proj_1", GenerationStatus.InProgress, null, null, 10), Cancel)).Select(record => record.Id));
        Assert.Empty(await _store.ListAsync(new GenerationFilter("proj_1", null, "other", null, 10), Cancel));
    }

    [Fact]
    public async Task Expire_PastItsTime_IsGone()
    {
        var id = await AddAsync();
        await _store.LeaseAsync("a", Now, Until, 1, Cancel);
        await _store.EndAsync(id, "a", 1, End("done"), [], Cancel);
        Assert.Equal(0, await _store.ExpireAsync(Now, Cancel));
        _time.Advance(TimeSpan.FromHours(2));
        // Not shown from the moment on, whether or not it was swept yet.
        Assert.Null(await _store.FindAsync("proj_1", id, GenerationBodies.Request | GenerationBodies.Result, Cancel));
        Assert.Equal(1, await _store.ExpireAsync(Now, Cancel));
    }

    private GenerationStore Open()
    {
        var storage = _temporary.Open(new GenerationSchema(), new WebhookSchema(), new GenerationWebhookSchema(), new GenerationEventsSchema(), new GenerationBatchSchema(), new GenerationQueueSchema());
        return new GenerationStore(storage, new WebhookOutbox(storage, new WebhookStore(storage, _time), _time), _time);
    }

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
        await _store.AddAsync(record, null, default, Cancel);
        return record.Id;
    }

    private GenerationEnd End(string result, Outcome outcome = Outcome.Complete) =>
        new(outcome.ToStatus(), outcome, 200, Encoding.UTF8.GetBytes(result), "{}"u8.ToArray(), Now, Now.AddHours(1));
}
