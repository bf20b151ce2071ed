using Fairlead.Access;
using Fairlead.Auditing.Spooling;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Limits.Budgets;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Tests.Catalogue;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Limits.Budgets;

public sealed class SqliteLeasedLedgerTests() : LeasedLedgerTests(StorageProvider.Sqlite);

public sealed class PostgresLeasedLedgerTests() : LeasedLedgerTests(StorageProvider.Postgres);

/// <summary>The ledger of reservations together with leases, the spool and the database.</summary>
public abstract class LeasedLedgerTests : IDisposable
{
    private static readonly BudgetKey Project = BudgetWorld.Key();

    /// <summary>What a call of <see cref="BudgetNode.RunAsync"/> costs.</summary>
    private static readonly long Cost = BudgetNode.CostOf(10);

    private readonly StorageProvider _provider;
    private readonly BudgetWorld _world;
    private readonly BudgetNode _node;
    private readonly LimitAccounts _accounts;
    private readonly FakeCallers _callers = new();
    private readonly InMemoryTokenLedger _ledger;

    private protected LeasedLedgerTests(StorageProvider provider)
    {
        _provider = provider;
        _world = new BudgetWorld(provider);
        _node = _world.Start(new BudgetLeaseOptions { AskTimeout = TimeSpan.Zero, ReplayTimeout = TimeSpan.FromMinutes(2) });
        _accounts = new LimitAccounts(_world.CallTime);
        _ledger = new InMemoryTokenLedger(_accounts, _node.Leases, new OutputHistories(), _callers);
    }

    private static CancellationToken Cancel => BudgetWorld.Cancel;

    public void Dispose()
    {
        _world.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Settle_BudgetAddedWhileTheCallRan_CountsItOnce()
    {
        var call = await ReserveAsync(Caller(null), 0);
        _callers.Change(Caller(3 * Cost));
        await EndAsync(call);
        await _node.ShipAsync();
        var next = await ReserveAsync(Caller(3 * Cost), Cost);
        Assert.Equal((Cost, Cost, Cost), UseOf(next));
        await EndAsync(next);
        // All of the rest can be used.
        var last = await ReserveAsync(Caller(3 * Cost), Cost);
        await EndAsync(last);
        await _node.ShipAsync();
        Assert.Equal((3 * Cost, 0L, 0L), UseOf(last));
        Assert.Equal(0, await _world.OutstandingAsync());
    }

    [Fact]
    public async Task Settle_BudgetIsLeasedWhileTheCallRan_CountsItOnce()
    {
        var early = await ReserveAsync(Caller(null), 0);
        var limited = Caller(4 * Cost);
        _callers.Change(limited);
        var first = await ReserveAsync(limited, Cost);
        await EndAsync(early);
        await EndAsync(first);
        // Ended before the last grant, and not in the ledger yet.
        var second = await ReserveAsync(limited, Cost);
        await _node.ShipAsync();
        await EndAsync(second);
        var third = await ReserveAsync(limited, Cost);
        Assert.Equal((3 * Cost, Cost, 0L), UseOf(third));
        await EndAsync(third);
        await _node.ShipAsync();
        Assert.Equal(4 * Cost, await _world.SettledAsync());
        Assert.Equal(0, await _world.OutstandingAsync());
        Assert.Equal(ErrorCode.BudgetExceeded, (await TryReserveAsync(limited, 1)).Error!.Code);
    }

    [Fact]
    public async Task Settle_MoreThanReserved_CountsItOnce()
    {
        var limited = Caller((2 * Cost) + 100);
        var call = await ReserveAsync(limited, 100);
        await EndAsync(call);
        await _node.ShipAsync();
        var next = await ReserveAsync(limited, Cost + 100);
        Assert.Equal((Cost, Cost + 100, 0L), UseOf(next));
        // What the database has outstanding is exactly what the call holds.
        Assert.Equal(Cost + 100, await _world.OutstandingAsync());
    }

    [Fact]
    public async Task Limits_OfOtherNodes_FreePartsRemainAndReservedOnesDoNot()
    {
        Assert.SkipWhen(_provider == StorageProvider.Sqlite, "Only one process uses the database.");
        var other = _world.Start();
        while (other.Slices.Free(Project) < 600) Assert.True((await other.AcquireAsync(Project, 1000, 1, 1000)).Granted > 0);
        Assert.True(other.Slices.TryTake(Project, 70));
        var caller = Caller(1000);
        // Before it has told anything, all of it may be reserved.
        Assert.True((await LimitAsync(caller)).Reserved >= 600);
        await other.Reports.WriteAsync(Cancel);
        var limit = await LimitAsync(caller);
        Assert.Equal((0, 70, 930), (limit.Used, limit.Reserved, limit.Remaining));
        await ReserveAsync(caller, 30);
        limit = await LimitAsync(caller);
        Assert.Equal((0, 100, 900), (limit.Used, limit.Reserved, limit.Remaining));
    }

    [Fact]
    public async Task Reserved_OfAllNodesAndOfJobs_IsListed()
    {
        var other = _world.Start();
        await other.AcquireAsync(Project, 1000, 200);
        Assert.True(other.Slices.TryTake(Project, 70));
        await other.Holders.BeatAsync(other.Reports.Text, Cancel);
        await ReserveAsync(Caller(1000), 30);
        await AddJobAsync("gen_1", 5, state: 2);
        await AddJobAsync("gen_2", 6, state: 1);
        await AddJobAsync("gen_3", 7, state: 2, status: "cancelled");
        var found = await new ReservedAmounts(_world.Storage, _node.Holder, _accounts).ReadAsync(Cancel);
        // On SQLite there is no other node that could read.
        long[] expected = _provider == StorageProvider.Sqlite ? [5, 30] : [5, 30, 70];
        Assert.Equal(expected, found.Select(one => one.PicoUsd).Order());
        Assert.All(found, one => Assert.Equal(("org_of_proj_1", "proj_1", "key_1", "standard"), (one.OrganizationId, one.ProjectId, one.KeyId, one.Class)));
        Assert.All(found, one => Assert.Equal(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero), HeldAmounts.HourOf(one.Hour)));
    }

    /// <summary>The jobs of a process that was killed hold their money until they end.</summary>
    [Fact]
    public async Task Jobs_OfAKilledProcess_AreHeldUntilTheyEnd()
    {
        await ReserveAsync(Caller(1000), 300);
        await AddJobAsync("gen_1", 200, state: 1, _node.Holder);
        await AddJobAsync("gen_2", 60, state: 1, _node.Holder, status: "in_progress");
        await AddJobAsync("gen_3", 40, state: 1, _node.Holder, status: "completed");
        _node.Kill();
        var next = _world.Start();
        await next.ShipAsync();
        Assert.Equal(0, await _world.OutstandingAsync());
        Assert.Equal(2, await _world.CountAsync("SELECT COUNT(*) FROM generations WHERE hold_state = 2 AND hold_node IS NULL AND hold_process IS NULL"));
        Assert.Equal(new BudgetGrant(0, 0, 260), await next.AcquireAsync(Project, 1000, 741));
        Assert.Equal(0, (await next.AcquireAsync(Project with { Scope = LimitScope.Key, ScopeId = "key_1" }, 1000, 741)).Granted);
        Assert.Equal(0, (await next.AcquireAsync(Project with { Scope = LimitScope.Organization, ScopeId = "org_of_proj_1" }, 1000, 741)).Granted);
        Assert.Equal(0, (await next.AcquireAsync(Project with { Scope = LimitScope.Model, ScopeId = "org_of_proj_1", Model = "m" }, 1000, 741)).Granted);
        Assert.Equal(0, (await next.AcquireAsync(Project with { Class = "standard" }, 1000, 741)).Granted);
        // Not those of others: another key, model, class, organization or month.
        foreach (var key in new[]
        {
            Project with { Scope = LimitScope.Key, ScopeId = "key_2" }, Project with { Scope = LimitScope.Model, ScopeId = "org_of_proj_1", Model = "x" }, Project with { Class = "bulk" },
            Project with { OrganizationId = "org_2" }, Project with { PeriodStart = Project.PeriodStart.AddMonths(-1) },
        })
        {
            Assert.True((await next.AcquireAsync(key, 1000, 900)).Granted >= 900);
        }

        // A cancelled job holds nothing, and one that starts moves into the lease.
        await _world.Storage.ExecuteAsync("UPDATE generations SET status = 'cancelled' WHERE id = 'gen_2'", [], Cancel);
        Assert.Equal(new BudgetGrant(0, 0, 200), await next.AcquireAsync(Project, 1000, 801));
        Assert.True(await next.Holds.TakeAsync(JobTransfers.Of("gen_1", Project, 200), Cancel));
        Assert.Equal(200, await _world.OutstandingAsync(Project));
        Assert.Equal(new BudgetGrant(0, 0, 0), await next.AcquireAsync(Project, 1000, 801));
        // Once.
        Assert.False(await next.Holds.TakeAsync(JobTransfers.Of("gen_1", Project, 200), Cancel));
        Assert.False(await next.Holds.TakeAsync(JobTransfers.Of("gen_2", Project, 60), Cancel));
        Assert.Equal(200, await _world.OutstandingAsync(Project));
        Assert.Equal(800, (await next.AcquireAsync(Project, 1000, 800)).Granted);
    }

    [Fact]
    public async Task Jobs_OfAProcessThatStops_AreHeldWithoutIt()
    {
        await ReserveAsync(Caller(1000), 300);
        await AddJobAsync("gen_1", 200, state: 1, _node.Holder);
        await _node.ShipAsync();
        await _node.Keeper.StopAsync(Cancel);
        Assert.Equal(0, await _world.OutstandingAsync());
        Assert.Equal(new BudgetGrant(0, 0, 200), await _world.Start().AcquireAsync(Project, 1000, 801));
    }

    [Fact]
    public async Task Jobs_TakenByTheLedger_AreHeldAndSettledLikeAnyOther()
    {
        await AddJobAsync("gen_1", Cost, state: 2);
        await _node.ShipAsync();
        var caller = Caller(2 * Cost);
        var model = LimitCalls.ModelOf();
        var reservation = new TokenReservation(caller, model.Id, CallClasses.Standard, BudgetWorld.Now);
        var money = new JobMoney(_accounts, _node.Holds, _node.Leases);
        Assert.True(await money.TryTakeAsync(money.Prepare("gen_1", reservation, caller, model, new LimitAmounts { Pico = Cost, Tokens = 5 }), Cancel));
        Assert.Equal((1, Cost), (_ledger.Totals().Open, reservation.Amounts.Pico));
        var call = await ReserveAsync(caller, Cost);
        Assert.Equal((0L, 2 * Cost, 0L), UseOf(call));
        Assert.Equal(2 * Cost, await _world.OutstandingAsync());
        Assert.False(await money.TryTakeAsync(money.Prepare("gen_1", reservation, caller, model, new LimitAmounts { Pico = Cost }), Cancel));

        _ledger.Settle(reservation, new Usage(100, 10), new Cost(Money.FromPico(Cost), Basis.Measured));
        await _node.RunAsync(_world);
        await EndAsync(call);
        await _node.ShipAsync();
        Assert.Equal((2 * Cost, 0L, 0L), UseOf(call));
        Assert.Equal((0L, 0), (await _world.OutstandingAsync(), _ledger.Totals().Open));
    }

    /// <summary>A record that cannot be read may be a lost call, so that what its process held is not given back at once. It is later.</summary>
    [Fact]
    public async Task Replay_InvalidRecord_ClosesNoBudgetForGood()
    {
        await _node.AcquireAsync(Project, 1_000_000, 1);
        var held = await _world.OutstandingAsync();
        // On SQLite too, a process takes only a part.
        Assert.InRange(held, 1, 1_000_000 / 4);
        _node.Spool.Append(SpoolRecordType.CallEnded, "not a record"u8);
        _node.Kill();
        var time = new FakeTimeProvider(BudgetWorld.Now);
        var next = _world.Start(new BudgetLeaseOptions { AskTimeout = TimeSpan.Zero, ReplayTimeout = TimeSpan.Zero }, time: time);
        await next.ShipAsync();
        Assert.True(next.Shipper.Replayed.IsCompletedSuccessfully);
        Assert.Equal(new BudgetGrant(0, 0, held), await next.AcquireAsync(Project, 1_000_000, 1_000_001 - held));
        var writtenOff = 0;
        for (var i = 0; i < 12; i++)
        {
            writtenOff += (await next.Holders.WriteOffAsync(Cancel)).Count;
            time.Advance(TimeSpan.FromMinutes(1));
        }
        Assert.Equal(1, writtenOff);
        await next.Holders.ReleaseReplayedAsync(Cancel);
        Assert.Equal(new BudgetGrant(0, held, 0), await next.AcquireAsync(Project, 1_000_000, 1_000_001 - held));
        time.Advance(TimeSpan.FromHours(24));
        await next.Holders.ReleaseReplayedAsync(Cancel);
        Assert.Equal(1_000_000, (await next.AcquireAsync(Project, 1_000_000, 1_000_000)).Granted);
    }

    [Fact]
    public async Task Clean_BudgetsWithoutALease_AreForgottenAfterTheirPeriod()
    {
        var time = new FakeTimeProvider(BudgetWorld.Now);
        var node = _world.Start(new BudgetLeaseOptions { AskTimeout = TimeSpan.Zero, ReplayTimeout = TimeSpan.Zero }, time: time);
        var day = BudgetWorld.Key(name: LimitName.UsdPerDay);
        Assert.Equal(0, (await node.AcquireAsync(day, 1000, 1001)).Granted);
        Assert.True((await node.AcquireAsync(BudgetWorld.Key(LimitScope.Key, "key_1", name: LimitName.UsdPerDay), 1000, 10)).Granted > 0);
        time.Advance(TimeSpan.FromDays(1));
        await node.Holders.CleanAsync(Cancel);
        Assert.False(node.Budgets.Contains(day));
        // A call of that day may still run on what was leased.
        Assert.False(node.Budgets.IsEmpty);
    }

    private static Caller Caller(long? pico) => LimitCalls.CallerOf(
        project: pico is { } limit ? new LimitSet { PicoUsdPerMonth = limit } : LimitSet.None, organizationId: "org_of_proj_1");

    private async Task<(GatewayCall Call, GatewayError? Error)> TryReserveAsync(Caller caller, long pico)
    {
        // A token of output costs a picodollar.
        var call = LimitCalls.Of(_world.CallTime, caller, LimitCalls.ModelOf(outputPrice: 0.000001m), max: (int)pico);
        return (call, await _ledger.ReserveAsync(call, ReservationParts.All, Cancel));
    }

    private async Task<GatewayCall> ReserveAsync(Caller caller, long pico)
    {
        var (call, error) = await TryReserveAsync(caller, pico);
        Assert.Null(error);
        return call;
    }

    /// <summary>Settles the call with <see cref="Cost"/>, and then puts its record on the spool.</summary>
    private async Task EndAsync(GatewayCall call)
    {
        _ledger.Settle(call.Reservation!, new Usage(100, 10), new Cost(Money.FromPico(Cost), Basis.Measured));
        await _node.RunAsync(_world);
    }

    private static (long Used, long Reserved, long Remaining) UseOf(GatewayCall call)
    {
        var state = Assert.Single(call.Limits!.Read());
        return (state.Used, state.Reserved, state.Remaining);
    }

    private async Task<LimitState> LimitAsync(Caller caller)
    {
        var reader = new LimitReader(_accounts, new NoModels(), _world.Storage, _node.Holder, new FakeConfigurationSource(new GatewayConfiguration()), _world.CallTime);
        return Assert.Single(await reader.OfCallerAsync(caller, Cancel));
    }

    private Task<int> AddJobAsync(string id, long pico, int state, BudgetHolder? holder = null, string status = "queued") =>
        JobTransfers.AddJobAsync(_world.Storage, id, pico, state, holder, status);

    private sealed class NoModels : ICatalogue, ICatalogueSnapshot
    {
        public ICatalogueSnapshot Current => this;

        public IReadOnlyList<CatalogueModel> Models => [];

        public CatalogueModel? Find(string name) => null;
    }
}
