using Fairlead.Limits;
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
