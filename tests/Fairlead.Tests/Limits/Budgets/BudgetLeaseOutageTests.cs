using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Limits;
using Fairlead.Limits.Budgets;
using Fairlead.Storage;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Limits.Budgets;

/// <summary>PostgreSQL has committed, and the response was lost; or it is unavailable. Nothing is granted or returned twice, and nothing is lost.</summary>
public sealed class BudgetLeaseOutageTests : IAsyncDisposable
{
    private static readonly BudgetKey Project = BudgetWorld.Key();

    private readonly BudgetWorld _world;
    private LossyPostgres _database = null!;

    public BudgetLeaseOutageTests() =>
        _world = new BudgetWorld(StorageProvider.Postgres, direct => (_database = new LossyPostgres(direct)).ConnectionString);

    public async ValueTask DisposeAsync()
    {
        _world.Dispose();
        await _database.DisposeAsync();
    }

    [Fact]
    public async Task Acquire_ResponseToCommitLost_IsGrantedOnce()
    {
        var node = _world.Start(storage: _world.Storage);
        await node.AcquireAsync(Project, 1000, 10);
        var lost = _database.LoseAsync("INSERT INTO budget_leases");
        Assert.Equal(100, (await node.AcquireAsync(Project, 1000, 100)).Granted);
        await lost;
        Assert.Equal(110, await _world.OutstandingAsync());
    }

    [Fact]
    public async Task Acquire_OutcomeStaysUnknown_IsTakenBackByTheNextGrant()
    {
        var node = _world.Start(storage: _world.Storage);
        await node.AcquireAsync(Project, 1000, 10);
        var lost = _database.LoseAsync("INSERT INTO budget_leases", closes: true);
        await Assert.ThrowsAnyAsync<StorageException>(() => node.AcquireAsync(Project, 1000, 100));
        await lost;
        _database.Open();
        Assert.Equal(110, await _world.OutstandingAsync());
        Assert.Equal(990, (await node.AcquireAsync(Project, 1000, 990)).Granted);
        Assert.Equal(1000, await _world.OutstandingAsync());
    }

    [Fact]
    public async Task Return_ResponseToCommitLost_IsReturnedOnce()
    {
        var node = _world.Start(storage: _world.Storage);
        await node.AcquireAsync(Project, 1000, 500);
        var lost = _database.LoseAsync("UPDATE budget_leases SET outstanding");
        node.Leases.Return([(Project, 100)]);
        await Assert.ThrowsAnyAsync<System.Data.Common.DbException>(() => node.Returns.FlushAsync(BudgetWorld.Cancel));
        await lost;
        node.Leases.Return([(Project, 50)]);
        while (!await TryFlushAsync(node))
        {
        }
        Assert.Equal(350, await _world.OutstandingAsync());
    }

    [Fact]
    public async Task Hold_ResponseToCommitLost_IsTakenOnce()
    {
        var node = _world.Start(storage: _world.Storage);
        await JobTransfers.AddJobAsync(_world.Storage, "gen_1", 200, state: 2);
        await node.ShipAsync();
        var lost = _database.LoseAsync("UPDATE generations SET hold_state");
        Assert.True(await node.Holds.TakeAsync(JobTransfers.Of("gen_1", Project, 200), BudgetWorld.Cancel));
        await lost;
        Assert.Equal(200, await _world.OutstandingAsync());
    }

    /// <summary>The next try finds out that the database has committed. Whoever asks in between must not reserve the money again.</summary>
    [Fact]
    public async Task Hold_OutcomeStaysUnknown_IsTakenOnceByTheNextTry()
    {
        var node = _world.Start(storage: _world.Storage);
        await JobTransfers.AddJobAsync(_world.Storage, "gen_1", 200, state: 2);
        await node.ShipAsync();
        var caller = LimitCalls.CallerOf(project: new LimitSet { PicoUsdPerMonth = 1000 }, organizationId: "org_of_proj_1");
        var accounts = new LimitAccounts(_world.CallTime);
        var money = new JobMoney(accounts, node.Holds, node.Leases);
        var reservation = new TokenReservation(caller, "m", CallClasses.Standard, BudgetWorld.Now);
        var transfer = money.Prepare("gen_1", reservation, caller, LimitCalls.ModelOf(), new LimitAmounts { Pico = 200 });
        var lost = _database.LoseAsync("UPDATE generations SET hold_state", closes: true);
        await Assert.ThrowsAsync<UnknownCommitException>(() => money.TryTakeAsync(transfer, BudgetWorld.Cancel));
        await lost;
        Assert.True(transfer.MayHaveCommitted);
        Assert.Null(reservation.Money);
        _database.Open();
        Assert.True(await money.TryTakeAsync(transfer, BudgetWorld.Cancel));
        Assert.Equal((200L, 200L), (reservation.Amounts.Pico, await _world.OutstandingAsync()));
        Assert.Equal((0L, 200L), accounts.UseOf(Project));

        // The job does not start here: what it held is returned.
        new InMemoryTokenLedger(accounts, node.Leases, new OutputHistories(), null)
            .Settle(reservation, default, new Cost(0, Basis.Measured));
        Assert.Equal(200, accounts.TakeUnused(Project));
    }

    /// <summary>No call could spend what was given of a limit that does not exist any more.</summary>
    [Fact]
    public async Task Hold_LimitRemovedMeanwhile_IsReturned()
    {
        var node = _world.Start(storage: _world.Storage);
        await JobTransfers.AddJobAsync(_world.Storage, "gen_1", 200, state: 2);
        await node.ShipAsync();
        Assert.True(await new JobMoney(new LimitAccounts(_world.CallTime), node.Holds, node.Leases).TryTakeAsync(JobTransfers.Of("gen_1", Project, 200), BudgetWorld.Cancel));
        Assert.Equal(200, await _world.OutstandingAsync());
        Assert.True(await node.Returns.FlushAsync(BudgetWorld.Cancel));
        Assert.Equal(0, await _world.OutstandingAsync());
    }

    private static async Task<bool> TryFlushAsync(BudgetNode node)
    {
        try
        {
            return await node.Returns.FlushAsync(BudgetWorld.Cancel);
        }
        catch (System.Data.Common.DbException)
        {
            return false;
        }
    }
}
