using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Conversation;
using Fairlead.Generations;
using Fairlead.Limits;
using Fairlead.Limits.Budgets;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Fairlead.Tests.Common;
using Fairlead.Tests.Auditing;
using Fairlead.Tests.Auditing.Spooling;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Limits.Budgets;

/// <summary>Nodes that share a database and a folder of spools.</summary>
internal sealed class BudgetWorld : IDisposable
{
    /// <summary>The time of all calls, within the periods of <see cref="Key"/>.</summary>
    public static readonly DateTimeOffset Now = new(2026, 11, 23, 12, 30, 0, TimeSpan.Zero);

    private const int MaxStorages = 4;

    private readonly TemporaryStorage _database;
    private readonly List<BudgetNode> _nodes = [];
    private readonly IStorage _first;
    private readonly List<IStorage> _others = [];

    public BudgetWorld(StorageProvider provider, Func<string, string>? way = null)
    {
        _database = way is null ? new TemporaryStorage(provider) : new TemporaryStorage(way);
        _first = Open();
    }

    public static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public TemporarySpool Spools { get; } = new();

    public IStorage Storage => _first;

    /// <summary>The time of calls.</summary>
    public FakeTimeProvider CallTime { get; } = new(Now);

    /// <summary>Picodollars of the month of the project of <see cref="RecordedCalls"/>.</summary>
    public static BudgetKey Key(
        LimitScope scope = LimitScope.Project, string id = "proj_1", string? model = null, string? @class = null,
        LimitName name = LimitName.UsdPerMonth) =>
        new(scope, "org_of_proj_1", id, model, @class, name, name.IsMonthly() ? new(2026, 11, 1, 0, 0, 0, TimeSpan.Zero) : new(2026, 11, 23, 0, 0, 0, TimeSpan.Zero));

    /// <summary>Another process. On SQLite all share one storage, whose notices reach all.</summary>
    public BudgetNode Start(BudgetLeaseOptions? options = null, IStorage? storage = null, TimeProvider? time = null)
    {
        var node = new BudgetNode(
            Spools.Open(segmentBytes: 32 * 1024), storage ?? NextStorage(),
            options ?? new BudgetLeaseOptions { AskTimeout = TimeSpan.Zero, ReplayTimeout = TimeSpan.Zero }, time ?? TimeProvider.System);
        _nodes.Add(node);
        return node;
    }

    // A history may have many processes, and each storage keeps connections.
    private IStorage NextStorage()
    {
        if (_first.Provider == StorageProvider.Sqlite) return _first;
        if (_others.Count < MaxStorages) _others.Add(Open());
        return _others[_nodes.Count % _others.Count];
    }

    public async Task<long> CountAsync(string sql)
    {
        await using var connection = await _first.OpenAsync(Cancel);
        if (!StoredRecords.IsMeant(sql)) return await connection.Int64Async(sql, [], Cancel) ?? 0;
        await using var copy = await StoredRecords.CopyAsync(connection, Cancel);
        return await copy.Int64Async(sql, [], Cancel) ?? 0;
    }

    public Task<long> OutstandingAsync(BudgetKey? key = null) =>
        CountAsync($"SELECT CAST(COALESCE(SUM(outstanding), 0) AS BIGINT) FROM budget_leases{(key is null ? "" : $" WHERE budget = '{key.Value.ToText()}'")}");

    public Task<long> SettledAsync() => CountAsync("SELECT CAST(COALESCE(SUM(cost_pico_usd), 0) AS BIGINT) FROM usage_hours");

    public void Dispose()
    {
        foreach (var node in _nodes) node.Dispose();
        Spools.Dispose();
        _database.Dispose();
    }

    private IStorage Open() =>
        _database.Open(
        new LedgerSchema(), new CompactLedgerSchema(), new UsageClassSchema(), new ReconciliationSchema(), new AuditBlockSchema(), new GenerationSchema(), new GenerationHoldSchema(),
        new BudgetLeaseSchema(), new ReservedAmountsSchema());
}

/// <summary>One process with its leases.</summary>
internal sealed class BudgetNode : IDisposable
{
    /// <summary>Cost of a call with the given output.</summary>
    public static long CostOf(long output) => 200_000_000 + (output * 8_000_000);

    public BudgetNode(Spool spool, IStorage storage, BudgetLeaseOptions options, TimeProvider time)
    {
        Spool = spool;
        Holder = BudgetHolder.Of(spool);
        Settlement = new BudgetSettlement(storage, Holder, Budgets);
        Shipper = new LedgerShipper(spool, storage, time, NullLogger<LedgerShipper>.Instance, Settlement);
        Returns = new BudgetReturns(storage, Holder);
        Holders = new BudgetHolders(storage, Holder, Budgets, options, time);
        Asks = new BudgetAsks(storage, Holder);
        var meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
        Leases = new BudgetLeases(
            storage, Holder, new BudgetGrants(storage, Holder, Budgets, time), Returns, Asks, Budgets, spool, Shipper, options,
            new BudgetLeaseMetrics(meters.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>()), time);
        Reports = new BudgetReports(storage, Holder, Budgets, Slices);
        Keeper = new BudgetLeaseKeeper(
            storage, Holder, Holders, Returns, Reports, Budgets, Shipper, options, time,
            NullLogger<BudgetLeaseKeeper>.Instance, Slices);
        Holds = new BudgetHolds(storage, Holder, Budgets, Shipper, options, time);
    }

    public Spool Spool { get; }

    public BudgetHolder Holder { get; }

    public LeasedBudgets Budgets { get; } = new();

    public BudgetSettlement Settlement { get; }

    public LedgerShipper Shipper { get; }

    public BudgetReturns Returns { get; }

    public BudgetHolders Holders { get; }

    public BudgetAsks Asks { get; }

    public BudgetLeases Leases { get; }

    public BudgetLeaseKeeper Keeper { get; }

    public BudgetHolds Holds { get; }

    public BudgetReports Reports { get; }

    public FreeSlices Slices { get; } = new();

    /// <summary>Acquires one budget. What is granted is free.</summary>
    public async Task<BudgetGrant> AcquireAsync(BudgetKey key, long limit, long minimum, long? wanted = null)
    {
        var grant = (await Leases.AcquireAsync([new BudgetNeed(key, limit, minimum, wanted ?? minimum)], BudgetWorld.Cancel))[0];
        Slices.Add(key, grant.Granted);
        return grant;
    }

    public async Task<(GatewayCall Call, Attempt Attempt)> BeginAsync(BudgetWorld world)
    {
        var call = RecordedCalls.New(world.CallTime);
        call.Class = "standard";
        var attempt = call.Try();
        await Spool.AttemptStartedAsync(call, attempt);
        return (call, attempt);
    }

    public async Task RunAsync(BudgetWorld world, long output = 10, string @class = "standard")
    {
        var call = RecordedCalls.New(world.CallTime);
        call.Class = @class;
        await Spool.AttemptStartedAsync(call, call.Try());
        await Spool.CallEndedAsync(call.End(output), 200);
    }

    public async Task ShipAsync()
    {
        while (await Shipper.ShipAsync(BudgetWorld.Cancel))
        {
        }
    }

    /// <summary>As if the process was killed.</summary>
    public void Kill() => Spool.Dispose();

    public void Dispose()
    {
        Asks.Dispose();
        Leases.Dispose();
        Keeper.Dispose();
        Shipper.Dispose();
    }
}

/// <summary>Slices of which nothing is reserved.</summary>
internal sealed class FreeSlices : IBudgetSlices
{
    private readonly Lock _gate = new();
    private readonly Dictionary<BudgetKey, long> _free = [];
    private readonly Dictionary<BudgetKey, long> _taken = [];

    public void Add(BudgetKey key, long amount)
    {
        lock (_gate) _free[key] = _free.GetValueOrDefault(key) + amount;
    }

    /// <summary>Takes an amount for a call if it is free.</summary>
    public bool TryTake(BudgetKey key, long amount)
    {
        lock (_gate)
        {
            if (_free.GetValueOrDefault(key) < amount) return false;
            _free[key] -= amount;
            _taken[key] = _taken.GetValueOrDefault(key) + amount;
            return true;
        }
    }

    public long Free(BudgetKey key)
    {
        lock (_gate) return _free.GetValueOrDefault(key);
    }

    public long TakeUnused(BudgetKey key)
    {
        lock (_gate) return _free.Remove(key, out var amount) ? amount : 0;
    }

    public IReadOnlyList<(BudgetKey Key, long Amount)> TakeIdle(TimeSpan idle) => [];

    public long TakenOf(BudgetKey key)
    {
        lock (_gate) return _taken.GetValueOrDefault(key);
    }

    public IReadOnlyCollection<ReservedAmount> ReadHeld()
    {
        lock (_gate) return [.. _taken.Select(one => new ReservedAmount(one.Key.OrganizationId, "proj_1", "key_1", "large", "standard", BudgetWorld.Now, one.Value))];
    }
}
