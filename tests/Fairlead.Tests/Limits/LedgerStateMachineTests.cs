using Fairlead.Tests.Common;
using System.Numerics;
using CsCheck;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Tests.Limits.Redis;

namespace Fairlead.Tests.Limits;

/// <summary>
/// The ledger against a simple model, with random arrivals, sizes, ends, clock jumps, midnights and changed limits. The model is a plain
/// bucket or sum for each limit and knows nothing of slices, snapshots, caches or Redis. Both must always decide the same and show the same.
/// </summary>
public sealed class LedgerStateMachineTests
{
    private enum Step
    {
        Arrive,
        End,
        EndAgain,
        Wait,
        Jump,
        Change,
        WaitForRefused,
        TakeIdle,
    }

    private static readonly Gen<(Step Step, int A, int B, int C)[]> Steps = Gen.Select(
        Gen.Frequency((8, Gen.Const(Step.Arrive)), (6, Gen.Const(Step.End)), (1, Gen.Const(Step.EndAgain)), (4, Gen.Const(Step.Wait)),
            (1, Gen.Const(Step.Jump)), (1, Gen.Const(Step.Change)), (4, Gen.Const(Step.WaitForRefused)), (1, Gen.Const(Step.TakeIdle))),
        Gen.Int[0, 1000], Gen.Int[0, 1000], Gen.Int[0, 1000]).Array[1, 120];

    [Fact]
    public Task Ledger_AnySequence_DecidesLikeTheModel() => Steps.SampleAsync(steps => new Machine().RunAsync(steps), iter: 400);

    [Fact]
    public async Task LedgerWithRedis_AnySequence_DecidesLikeTheModel()
    {
        using var redis = PrivateRedis.Start();
        // One after another: all have the same organization.
        await Steps.SampleAsync(async steps =>
        {
            var time = new LimitTime();
            await using var node = await RedisNode.StartAsync(redis, time);
            await node.ExecuteAsync("FLUSHALL");
            await new Machine(time, node).RunAsync(steps);
        }, iter: 60, threads: 1);
    }

    private sealed class Machine
    {
        private readonly LimitTime _time;
        private readonly RedisNode? _redis;
        private readonly LimitAccounts _accounts;
        private readonly ProcessBudgetLeases _leases;
        private readonly OutputHistories _histories;
        private readonly InMemoryTokenLedger _ledger;
        private readonly Dictionary<(LimitScope, string, string?, LimitName), ModelLimit> _limits = [];
        private readonly List<(GatewayCall Call, List<ModelLimit> Limits)> _running = [];
        private readonly List<GatewayCall> _ended = [];
        private Caller[] _callers = [];
        private CatalogueModel _model = null!;
        private int _version;

        public Machine()
        {
            _time = new LimitTime();
            _accounts = new LimitAccounts(_time);
            _leases = new ProcessBudgetLeases(_time);
            _histories = new OutputHistories();
            _ledger = new InMemoryTokenLedger(_accounts, _leases, _histories, null);
            Change(500, 500, 500);
        }

        public Machine(LimitTime time, RedisNode redis)
        {
            _time = time;
            _redis = redis;
            (_accounts, _leases, _histories, _ledger) = (redis.Accounts, redis.Leases, redis.Histories, redis.Ledger);
            Change(500, 500, 500);
        }

        public async Task RunAsync((Step Step, int A, int B, int C)[] steps)
        {
            foreach (var (step, a, b, c) in steps)
            {
                switch (step)
                {
                    case Step.Arrive: await ArriveAsync(a, b, c, waits: false); break;
                    case Step.WaitForRefused: await ArriveAsync(a, b, c, waits: true); break;
                    case Step.End when _running.Count > 0: await EndAsync(a % _running.Count, b, c); break;
                    case Step.EndAgain when _ended.Count > 0:
                        _ledger.Settle(_ended[a % _ended.Count].Reservation!, new Usage(b, c), new Cost(a, Basis.Measured));
                        break;
                    case Step.Wait: await WaitAsync(TimeSpan.FromMilliseconds(a * a / 10.0)); break;
                    // Up to half a day, in both directions.
                    case Step.Jump: _time.Jump(TimeSpan.FromMinutes((a - 500) * 1.44)); break;
                    case Step.Change: await ChangeAsync(a, b, c); break;
                    case Step.TakeIdle: _leases.Return(_accounts.TakeIdle(TimeSpan.FromMilliseconds(a))); break;
                }
                Compare();
            }
            while (_running.Count > 0) await EndAsync(0, 500, 500);
            Compare();
            Assert.All(_limits.Values, limit => Assert.Equal(0, limit.Reserved));
            Assert.Equal((0, 0L, 0m), (_ledger.Totals().Open, _ledger.Totals().HeldTokens, _ledger.Totals().HeldUsd));
        }

        private static LimitSet SetOf(int a, int b, int c) => new()
        {
            RequestsPerMinute = 5 + (a / 20),
            InputTokensPerMinute = 200 + a,
            OutputTokensPerMinute = 300 + b,
            ConcurrentGenerations = 3 + (c / 100),
            TokensPerDay = 1000 + (5 * b),
            PicoUsdPerDay = (1500 + (3 * c)) * 1_000_000L,
            PicoUsdPerMonth = (3000 + (5 * a)) * 1_000_000L,
            Burst = 0.5m + (b / 500m),
        };

        /// <summary>A new snapshot: two keys of a project, and a model with limits of its own.</summary>
        private void Change(int a, int b, int c)
        {
            var (organization, project, key, model) = (SetOf(a, b, c), SetOf(b, c, a), SetOf(c, a, b), new LimitSet { RequestsPerMinute = 10 + (a / 50), PicoUsdPerDay = (2000 + b) * 1_000_000L });
            _callers = [LimitCalls.CallerOf(organization, project, key), LimitCalls.CallerOf(organization, project, key, "key_2")];
            _model = LimitCalls.ModelOf(1, 2, model, ++_version);
            // In force from the next call of the snapshot on, here of both keys.
            foreach (var caller in _callers) _accounts.Of(caller, _model, CallClasses.Standard);
            Declare(LimitScope.Organization, "org_1", null, organization);
            Declare(LimitScope.Project, "proj_1", null, project);
            Declare(LimitScope.Key, "key_1", null, key);
            Declare(LimitScope.Key, "key_2", null, key);
            Declare(LimitScope.Model, "org_1", "m", model);
        }

        private async Task ChangeAsync(int a, int b, int c)
        {
            Change(a, b, c);
            if (_redis is null) return;
            // Redis learns of a new limit with the next call that counts against it. Until then it refills at the old rate.
            foreach (var caller in _callers)
                await _redis.Store.SettleAsync(_accounts.Of(caller, _model, CallClasses.Standard), default, default, "none", TestContext.Current.CancellationToken);
        }

        private void Declare(LimitScope scope, string id, string? model, LimitSet set)
        {
            foreach (var name in LimitSetValues.All)
            {
                if (set.ValueOf(name) is not { } value) continue;
                if (!_limits.TryGetValue((scope, id, model, name), out var limit)) _limits[(scope, id, model, name)] = limit = new ModelLimit(name);
                limit.Set(value, set.Burst ?? 1, _time);
            }
        }

        private List<ModelLimit> LimitsOf(Caller caller) => [.. _limits.Where(limit => limit.Key.Item1 != LimitScope.Key || limit.Key.Item2 == caller.KeyId).Select(limit => limit.Value)];

        private async Task WaitAsync(TimeSpan time)
        {
            if (_redis is null)
            {
                _time.Advance(time);
                return;
            }
            RedisNode.Advance(_time, time);
            // As often as needed: what runs stays known to Redis.
            await _redis.BeatAsync();
        }

        private async Task ArriveAsync(int a, int b, int c, bool waits)
        {
            var caller = _callers[c % 2];
            var call = NewCall(caller, a, b);
            var limits = LimitsOf(caller);
            var error = await TryReserveAsync(call, limits);
            if (!waits || error is not { RetryAfter: { } wait } || error.Details!["estimated"]!.GetValue<bool>()) return;
            // Exactly the stated wait is enough if nobody else calls, and is not shorter than needed.
            await WaitAsync(wait);
            Assert.Null(await TryReserveAsync(NewCall(caller, a, b), limits));
        }

        private GatewayCall NewCall(Caller caller, int a, int b)
        {
            var call = LimitCalls.Of(_time, caller, _model, 1 + (a / 3), 1 + (b / 4));
            // Estimates are wrong.
            call.InputEstimate = new TokenEstimate(1 + (a / 6), Basis.Estimated);
            return call;
        }

        private async Task<GatewayError?> TryReserveAsync(GatewayCall call, List<ModelLimit> limits)
        {
            var amounts = CallAmounts.Of(call, _accounts.Of(call.Caller, call.Model, call.Class), _histories);
            var expected = limits.All(limit => limit.CanTake(amounts, call.StartedAt, _time));
            var reserving = _ledger.ReserveAsync(call, ReservationParts.All, TestContext.Current.CancellationToken);
            if (_redis is null && !reserving.IsCompleted) throw new InvalidOperationException("The reservation is not immediate.");
            var error = await reserving;
            Assert.True(expected == (error is null), $"The model says {expected}, the ledger {error?.Message ?? "yes"}");
            if (error is not null) return error;
            foreach (var limit in limits) limit.Take(amounts, call.StartedAt);
            _running.Add((call, limits));
            return null;
        }

        private async Task EndAsync(int index, int b, int c)
        {
            var (call, limits) = _running[index];
            _running.RemoveAt(index);
            _ended.Add(call);
            // From nothing (refused, cached) to the whole worst case.
            var worst = WorstCase.Of(call);
            var usage = new Usage(worst.Input * b / 1000, worst.Output * c / 1000);
            var cost = c % 7 == 0 ? 0 : ((usage.InputTokens * 1m) + (usage.OutputTokens * 2m)) / 1_000_000m;
            _ledger.Settle(call.Reservation!, usage, new Cost(cost, Basis.Measured));
            var used = new LimitAmounts { Input = usage.InputTokens, Output = usage.OutputTokens, Tokens = usage.TotalTokens, Pico = Money.ToPico(cost) };
            foreach (var limit in limits) limit.Settle(call.Reservation!.Amounts, used, call.StartedAt, _time);
            if (_redis is not null) await _redis.Rates.Settled;
        }

        private void Compare()
        {
            foreach (var caller in _callers)
            {
                foreach (var state in _accounts.StatesOf(caller, _model))
                {
                    var limit = _limits[(state.Scope, state.ScopeId, state.Model, state.Name)];
                    Assert.True(limit.Matches(state, _time), $"{state} but the model has {limit}");
                }
            }
        }
    }

    private sealed class ModelLimit(LimitName name)
    {
        private readonly Dictionary<DateTime, (long Spent, long Held)> _periods = [];
        private BigInteger _level;
        private long _at;
        private long _limit;
        private long _capacity;
        private bool _isSet;

        public long Reserved { get; private set; }

        public void Set(long limit, decimal burst, LimitTime time)
        {
            var before = _capacity;
            if (_isSet) Refill(time);
            (_limit, _capacity) = (limit, Math.Max(1, (long)(limit * burst)));
            // What was used stays used.
            _level = _isSet ? _level + ((_capacity - (BigInteger)before) * TimeSpan.TicksPerMinute) : _capacity * (BigInteger)TimeSpan.TicksPerMinute;
            if (!_isSet) _at = time.GetTimestamp();
            _isSet = true;
        }

        public bool CanTake(in LimitAmounts amounts, DateTimeOffset accepted, LimitTime time)
        {
            var amount = amounts.Of(name);
            if (name == LimitName.ConcurrentGenerations) return Reserved < _limit;
            if (name.IsBudget()) return amount == 0 || amount + Of(accepted).Held + Of(accepted).Spent <= _limit;
            Refill(time);
            return amount == 0 || _level >= amount * (BigInteger)TimeSpan.TicksPerMinute;
        }

        public void Take(in LimitAmounts amounts, DateTimeOffset accepted)
        {
            var amount = amounts.Of(name);
            Reserved += amount;
            if (name.IsBudget()) _periods[StartOf(accepted)] = (Of(accepted).Spent, Of(accepted).Held + amount);
            else if (name.IsRate()) _level -= amount * (BigInteger)TimeSpan.TicksPerMinute;
        }

        public void Settle(in LimitAmounts held, in LimitAmounts used, DateTimeOffset accepted, LimitTime time)
        {
            var (before, after) = (held.Of(name), used.Of(name));
            Reserved -= before;
            if (name.IsBudget())
            {
                _periods[StartOf(accepted)] = (Of(accepted).Spent + after, Of(accepted).Held - before);
                // Lowered limits aside, nothing is ever above the budget: the worst case was reserved.
                Assert.True(after <= before);
            }
            else if (name.IsRate())
            {
                Refill(time);
                _level = BigInteger.Min(_level + ((before - after) * (BigInteger)TimeSpan.TicksPerMinute), _capacity * (BigInteger)TimeSpan.TicksPerMinute);
            }
        }

        public bool Matches(LimitState state, LimitTime time)
        {
            if (name == LimitName.ConcurrentGenerations) return (state.Limit, state.Reserved) == (_limit, Reserved);
            if (name.IsBudget())
            {
                var (spent, held) = Of(time.GetUtcNow());
                return (state.Limit, state.Used, state.Reserved, state.Remaining) == (_limit, spent, held, Math.Max(0, _limit - spent - held));
            }
            Refill(time);
            var remaining = _level <= 0 ? 0 : (long)(_level / TimeSpan.TicksPerMinute);
            return (state.Limit, state.Reserved, state.Remaining) == (_capacity, Reserved, remaining);
        }

        public override string ToString() => $"{name}: limit {_limit}, capacity {_capacity}, level {_level / TimeSpan.TicksPerMinute}, reserved {Reserved}, {string.Join(", ", _periods)}";

        private void Refill(LimitTime time)
        {
            var now = time.GetTimestamp();
            _level = BigInteger.Min(_level + (_limit * (BigInteger)(now - _at)), _capacity * (BigInteger)TimeSpan.TicksPerMinute);
            _at = now;
        }

        private (long Spent, long Held) Of(DateTimeOffset moment) => _periods.GetValueOrDefault(StartOf(moment));

        private DateTime StartOf(DateTimeOffset moment) => name.IsMonthly() ? new DateTime(moment.Year, moment.Month, 1) : moment.UtcDateTime.Date;
    }
}
