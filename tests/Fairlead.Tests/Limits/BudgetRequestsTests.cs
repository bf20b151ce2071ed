using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Limits;

/// <summary>Calls that need more of a budget than this process has leased, while the database has not responded yet.</summary>
public sealed class BudgetRequestsTests
{
    private readonly LimitTime _time = new();
    private readonly HeldBackLeases _leases;
    private readonly InMemoryTokenLedger _ledger;

    public BudgetRequestsTests()
    {
        _leases = new HeldBackLeases(new ProcessBudgetLeases(_time));
        _ledger = new InMemoryTokenLedger(new LimitAccounts(_time), _leases, new OutputHistories(), null);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Acquire_KeysOfOneOrganization_DoNotWaitForEachOther()
    {
        var slow = ReserveAsync(OfKey("key_slow", 5));
        Assert.Equal("key_slow", Assert.Single(_leases.Waiting));
        var fast = ReserveAsync(OfKey("key_fast", 100));
        Assert.Equal(2, _leases.Waiting.Count);
        _leases.Respond("key_fast");
        Assert.Null(await fast);
        Assert.False(slow.IsCompleted);
        _leases.Respond("key_slow");
        Assert.Equal(ErrorCode.BudgetExceeded, (await slow)!.Code);
    }

    [Fact]
    public async Task Acquire_SharedBudget_IsAskedForOnceForAllThatWait()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1000 });
        var calls = Enumerable.Range(0, 5).Select(_ => ReserveAsync(caller)).ToArray();
        Assert.Single(_leases.Waiting);
        _leases.Respond("org_1");
        // The first got what it lacked; the others ask once more, together.
        while (_leases.Waiting.Count == 0) await Task.Yield();
        Assert.Single(_leases.Waiting);
        _leases.Respond("org_1");
        Assert.All(await Task.WhenAll(calls), Assert.Null);
        Assert.Equal(2, _leases.Asked);
    }

    [Fact]
    public async Task Acquire_FirstCallIsCancelled_EndsItAndServesTheOthers()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 20 });
        using var left = new CancellationTokenSource();
        var first = ReserveAsync(caller, left.Token);
        var second = ReserveAsync(caller);
        await left.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.False(second.IsCompleted);
        _leases.Respond("org_1");
        Assert.Null(await second);
        Assert.Equal(1, _leases.Asked);
        Assert.Equal(1, _ledger.Totals().Open);
    }

    [Fact]
    public async Task Acquire_CallThatWaitsIsCancelled_EndsItAlone()
    {
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 20 });
        var first = ReserveAsync(caller);
        using var left = new CancellationTokenSource();
        var second = ReserveAsync(caller, left.Token);
        await left.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        _leases.Respond("org_1");
        Assert.Null(await first);
    }

    private static Caller OfKey(string id, long tokens) => LimitCalls.CallerOf(key: new LimitSet { TokensPerDay = tokens }, keyId: id);

    private Task<GatewayError?> ReserveAsync(Caller caller, CancellationToken? token = null) =>
        _ledger.ReserveAsync(LimitCalls.Of(_time, caller, LimitCalls.ModelOf()), ReservationParts.All, token ?? Cancel).AsTask();

    /// <summary>Responds when a test says so.</summary>
    private sealed class HeldBackLeases(IBudgetLeases leases) : IBudgetLeases
    {
        private readonly Lock _gate = new();
        private readonly List<(string Owner, TaskCompletionSource Respond)> _waiting = [];

        public int Asked { get; private set; }

        public List<string> Waiting
        {
            get
            {
                lock (_gate) return _waiting.ConvertAll(one => one.Owner);
            }
        }

        public void Respond(string owner)
        {
            lock (_gate)
            {
                var found = _waiting.Find(one => one.Owner == owner);
                _waiting.Remove(found);
                found.Respond.SetResult();
            }
        }

        public async Task<BudgetGrant[]> AcquireAsync(IReadOnlyList<BudgetNeed> needs, CancellationToken cancellationToken)
        {
            var respond = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_gate)
            {
                Asked++;
                _waiting.Add((Assert.Single(needs).Key.ScopeId, respond));
            }
            await respond.Task.WaitAsync(cancellationToken);
            return await leases.AcquireAsync(needs, cancellationToken);
        }

        public void Return(IReadOnlyList<(BudgetKey Key, long Amount)> unused) => leases.Return(unused);

        public void AddUnpaid(BudgetKey key, long amount) => leases.AddUnpaid(key, amount);
    }
}
