using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Limits;

/// <summary>Counters of organizations with many keys and models: what they cost a call, and when they are dropped.</summary>
public sealed class LimitCountersTests
{
    private static readonly LimitSet Rate = new() { RequestsPerMinute = 1_000_000, InputTokensPerMinute = 1_000_000_000 };

    private readonly LimitTime _time = new();
    private readonly LimitAccounts _accounts;
    private readonly ProcessBudgetLeases _leases;
    private readonly StoredKeys _stored = new();
    private readonly InMemoryTokenLedger _ledger;

    public LimitCountersTests()
    {
        _accounts = new LimitAccounts(_time);
        _leases = new ProcessBudgetLeases(_time);
        _ledger = new InMemoryTokenLedger(_accounts, _leases, new OutputHistories(), _stored);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Settle_OrganizationWithManyKeysAndModels_AllocatesNothing()
    {
        var callers = Enumerable.Range(0, 50).Select(i => Caller($"key_{i}")).ToArray();
        var models = Enumerable.Range(0, 20).Select(i => LimitCalls.ModelOf(limits: Rate, id: $"m{i}")).ToArray();
        // All are known before the calls, in an order in which every one makes the earlier ones old.
        foreach (var caller in callers)
        {
            foreach (var model in models) Run(caller, model);
        }
        var calls = callers.Select((caller, i) => Reserve(caller, models[i % models.Length])).ToArray();
        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var call in calls) _ledger.Settle(call.Reservation!, new Usage(10, 10), default);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Settle_LimitOfAnotherKeyAdded_KeepsLimitsOfThisKeyComplete()
    {
        var call = Reserve(Caller("key_1"));
        Run(Caller("key_2"));
        Assert.True(call.Reservation!.Rates!.IsComplete);
        Run(LimitCalls.CallerOf(key: Rate with { OutputTokensPerMinute = 7 }, keyId: "key_1"));
        Assert.False(call.Reservation.Rates.IsComplete);
    }

    [Fact]
    public void Sweep_KeysThatAreIdle_LeaveTheOthersOfTheOrganization()
    {
        for (var i = 0; i < 100; i++) Run(Caller($"key_{i}"));
        var busy = Caller("key_busy");
        for (var i = 0; i < 12; i++)
        {
            _time.Advance(TimeSpan.FromMinutes(1));
            Run(busy);
            _accounts.Sweep(_stored);
        }
        Assert.Equal(2, _accounts.CountCounters());
        // A key that comes back is counted again.
        Assert.Equal(999_999, Reserve(Caller("key_3")).Limits!.Read()[0].Remaining);
        Assert.Equal(4, _accounts.CountCounters());
    }

    [Fact]
    public void Sweep_CallStillRuns_KeepsItsCounters()
    {
        var caller = Caller("key_1");
        var call = Reserve(caller);
        _time.Advance(TimeSpan.FromHours(1));
        _accounts.Sweep(_stored);
        _ledger.Settle(call.Reservation!, new Usage(5000, 0), default);
        Assert.Equal(999_995_000, Reserve(caller).Limits!.Read()[1].Remaining);
    }

    [Fact]
    public void Sweep_DeletedKey_DropsItsBudgetsAndReturnsTheirSlices()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { TokensPerMonth = 1000 }, keyId: "key_1");
        _stored.Set("key_1", "key_2");
        Run(caller, input: 4, output: 4);
        _accounts.Sweep(_stored);
        Assert.Equal(1, _accounts.CountCounters());
        _stored.Set("key_2");
        _accounts.Sweep(_stored);
        Assert.Equal(0, _accounts.CountCounters());
        Assert.Equal(12, Assert.Single(_accounts.TakeIdle(TimeSpan.FromHours(1))).Amount);
    }

    [Fact]
    public void Sweep_KeyThatWasNeverStored_KeepsWhatItHasUsedOfTheMonth()
    {
        var caller = LimitCalls.CallerOf(key: new LimitSet { TokensPerMonth = 1000 }, keyId: "key_of_the_environment");
        Run(caller, input: 4, output: 4);
        _leases.Return(_accounts.TakeIdle(TimeSpan.Zero));
        _time.Advance(TimeSpan.FromHours(1));
        _accounts.Sweep(_stored);
        Assert.Equal(8, _accounts.StatesOf(caller)[0].Used);
    }

    [Fact]
    public void Reserve_LimitsDroppedSinceTheyWereFound_CountsInTheNewOnes()
    {
        var caller = Caller("key_1");
        Run(caller);
        Run(Caller("key_2"));
        var old = _accounts.Of(caller, LimitCalls.ModelOf(), CallClasses.Standard);
        _time.Advance(TimeSpan.FromMinutes(11));
        Run(Caller("key_2"));
        _accounts.Sweep(_stored);
        Assert.True(old.IsDropped);
        var call = Reserve(caller);
        Assert.NotSame(old.Rates[0], call.Reservation!.Rates!.Rates[0]);
        Assert.Equal(999_999, call.Limits!.Read()[0].Remaining);
    }

    private static Caller Caller(string key) => LimitCalls.CallerOf(key: Rate, keyId: key);

    private GatewayCall Reserve(Caller caller, CatalogueModel? model = null)
    {
        var call = LimitCalls.Of(_time, caller, model ?? LimitCalls.ModelOf());
        var reserving = _ledger.ReserveAsync(call, ReservationParts.All, Cancel);
        Assert.True(reserving.IsCompletedSuccessfully && reserving.Result is null);
        return call;
    }

    private void Run(Caller caller, CatalogueModel? model = null, long input = 0, long output = 0) =>
        _ledger.Settle(Reserve(caller, model).Reservation!, new Usage(input, output), default);

    /// <summary>The keys of a snapshot.</summary>
    private sealed class StoredKeys : ICurrentCallers
    {
        private Dictionary<string, Caller> _keys = [];

        public object? Version { get; private set; } = new();

        public Caller? Find(string keyId) => _keys.GetValueOrDefault(keyId);

        public void Set(params string[] keys)
        {
            _keys = keys.ToDictionary(key => key, key => LimitCalls.CallerOf(keyId: key));
            Version = new object();
        }
    }
}
