using Fairlead.Tests.Common;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;

namespace Fairlead.Tests.Limits;

/// <summary>The ledger under real threads.</summary>
public sealed class LedgerConcurrencyTests
{
    private const long Pico = 1_000_000;
    private readonly LimitAccounts _accounts = new(TimeProvider.System);
    private readonly OutputHistories _histories = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private InMemoryTokenLedger Create(IBudgetLeases leases) => new(_accounts, leases, _histories, null);

    private static Task<T[]> ParallelAsync<T>(int count, Func<int, Task<T>> work)
    {
        var start = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var tasks = Enumerable.Range(0, count).Select(i => Task.Run(async () =>
        {
            await start.Task;
            return await work(i);
        })).ToArray();
        start.SetResult();
        return Task.WhenAll(tasks);
    }

    [Fact]
    public async Task Budget_ThousandParallelWorstCases_ServesExactlyHundred()
    {
        var leases = new SlowLeases(new ProcessBudgetLeases(TimeProvider.System));
        var ledger = Create(leases);
        var model = LimitCalls.ModelOf(outputPrice: 1);
        var callers = Enumerable.Range(0, 4).Select(i => LimitCalls.CallerOf(new LimitSet { PicoUsdPerMonth = 1000 * Pico, TokensPerDay = 1_000_000 }, keyId: $"key_{i}")).ToArray();
        var served = await ParallelAsync(1000, async i =>
        {
            var call = LimitCalls.Of(TimeProvider.System, callers[i % 4], model);
            if (await ledger.ReserveAsync(call, ReservationParts.All, Cancel) is { } error)
            {
                Assert.Equal(ErrorCode.BudgetExceeded, error.Code);
                return 0;
            }
            await Task.Yield();
            ledger.Settle(call.Reservation!, new Usage(10, 10), new Cost(0.00001m, Basis.Measured));
            return 1;
        });
        Assert.Equal(100, served.Sum());
        var state = _accounts.StatesOf(callers[0]).Single(limit => limit.Name == LimitName.UsdPerMonth);
        Assert.Equal((1000 * Pico, 0L, 0L), (state.Used, state.Reserved, state.Remaining));
        Assert.Equal((0, 0L), (ledger.Totals().Open, ledger.Totals().HeldTokens));
        // Calls that wait share a request, and each of the two budgets has one at a time.
        Assert.InRange(leases.Asked, 1, 250);
        Assert.InRange(leases.MaxParallel, 1, 2);
    }

    [Fact]
    public async Task Budget_VaryingCallsRetriedUntilQuiet_LeavesLessThanOneWorstCase()
    {
        var leases = new SlowLeases(new ProcessBudgetLeases(TimeProvider.System));
        var ledger = Create(leases);
        var model = LimitCalls.ModelOf(outputPrice: 1);
        var caller = LimitCalls.CallerOf(new LimitSet { PicoUsdPerDay = 5000 * Pico });
        await ParallelAsync(300, async i =>
        {
            for (var tries = 0; tries < 40; tries++)
            {
                var max = 10 + (i % 50);
                var call = LimitCalls.Of(TimeProvider.System, caller, model, max: max);
                if (await ledger.ReserveAsync(call, ReservationParts.All, Cancel) is not null)
                {
                    await Task.Yield();
                    continue;
                }
                ledger.Settle(call.Reservation!, new Usage(10, max / 2), new Cost(max / 2 / 1_000_000m, Basis.Measured));
            }
            return 0;
        });
        var state = Assert.Single(_accounts.StatesOf(caller));
        Assert.Equal(0, state.Reserved);
        Assert.InRange(state.Used, 5000 * Pico - (60 * Pico), 5000 * Pico);
    }

    /// <summary>Each key has a budget of its own, and all ask at once. Waiting for another key's request is no reason to refuse.</summary>
    [Fact]
    public async Task Budget_FirstCallsOfManyKeysWithoutMaximum_AreAllServed()
    {
        var ledger = Create(new SlowLeases(new ProcessBudgetLeases(TimeProvider.System)));
        var model = LimitCalls.ModelOf(outputPrice: 1);
        var served = await ParallelAsync(20, async i =>
        {
            var caller = LimitCalls.CallerOf(key: new LimitSet { PicoUsdPerDay = 5000 * Pico }, keyId: $"key_{i}");
            return await ledger.ReserveAsync(LimitCalls.Of(TimeProvider.System, caller, model, max: null), ReservationParts.All, Cancel) is null;
        });
        Assert.All(served, Assert.True);
    }

    [Fact]
    public async Task Concurrency_ManyThreads_NeverExceedsLimit()
    {
        var ledger = Create(new ProcessBudgetLeases(TimeProvider.System));
        var caller = LimitCalls.CallerOf(key: new LimitSet { ConcurrentGenerations = 7 });
        var model = LimitCalls.ModelOf();
        var (running, most) = (0, 0);
        await ParallelAsync(16, async _ =>
        {
            for (var i = 0; i < 500; i++)
            {
                var call = LimitCalls.Of(TimeProvider.System, caller, model);
                if (await ledger.ReserveAsync(call, ReservationParts.All, Cancel) is not null) continue;
                var now = Interlocked.Increment(ref running);
                InterlockedMax(ref most, now);
                await Task.Yield();
                Interlocked.Decrement(ref running);
                ledger.Settle(call.Reservation!, default, default);
            }
            return 0;
        });
        Assert.InRange(most, 1, 7);
        Assert.Equal(0, Assert.Single(_accounts.StatesOf(caller)).Reserved);
    }

    [Fact]
    public async Task Database_FailsWhileCallsWait_FailsAllOfThemAtOnce()
    {
        var leases = new SlowLeases(new ProcessBudgetLeases(TimeProvider.System)) { Error = new BrokenStoreException() };
        var ledger = Create(leases);
        var caller = LimitCalls.CallerOf(new LimitSet { TokensPerDay = 1_000_000 });
        var model = LimitCalls.ModelOf();
        var codes = await ParallelAsync(200, async _ =>
            (await ledger.ReserveAsync(LimitCalls.Of(TimeProvider.System, caller, model), ReservationParts.All, Cancel))!.Code);
        Assert.All(codes, code => Assert.Equal(ErrorCode.StoreUnavailable, code));
        Assert.Equal(0, ledger.Totals().Open);
    }

    private static void InterlockedMax(ref int most, int value)
    {
        for (var seen = Volatile.Read(ref most); seen < value;)
        {
            var before = Interlocked.CompareExchange(ref most, value, seen);
            if (before == seen) return;
            seen = before;
        }
    }

    /// <summary>Answers on another thread, as a database does.</summary>
    private sealed class SlowLeases(IBudgetLeases leases) : IBudgetLeases
    {
        private int _asked;
        private int _parallel;
        private int _maxParallel;

        public int Asked => Volatile.Read(ref _asked);

        public int MaxParallel => Volatile.Read(ref _maxParallel);

        public Exception? Error { get; init; }

        public async Task<BudgetGrant[]> AcquireAsync(IReadOnlyList<BudgetNeed> needs, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _asked);
            InterlockedMax(ref _maxParallel, Interlocked.Increment(ref _parallel));
            await Task.Yield();
            Interlocked.Decrement(ref _parallel);
            if (Error is { } error) throw error;
            return await leases.AcquireAsync(needs, cancellationToken);
        }

        public void Return(IReadOnlyList<(BudgetKey Key, long Amount)> unused) => leases.Return(unused);

        public void AddUnpaid(BudgetKey key, long amount) => leases.AddUnpaid(key, amount);
    }
}
