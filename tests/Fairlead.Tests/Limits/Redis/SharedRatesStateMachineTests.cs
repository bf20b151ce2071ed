using System.Numerics;
using CsCheck;
using Fairlead.Access;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Pipeline;
using Fairlead.Tests.Common;

namespace Fairlead.Tests.Limits.Redis;

/// <summary>
/// Three nodes that share a Redis against a simple model: two rates and a concurrency, with random arrivals, sizes and ends at any node,
/// heartbeats, nodes that die, a Redis that forgets everything, and a clock of Redis that is set. The model is a number for each rate and a
/// set of calls with the time until which each counts. Both must always decide the same and show the same.
/// </summary>
public sealed class SharedRatesStateMachineTests
{
    private const int Nodes = 3;

    private enum Step
    {
        Arrive,
        End,
        Wait,
        Beat,
        Crash,
        Flush,
        SetClock,
    }

    private static readonly Gen<(Step Step, int Node, int A, int B)[]> Steps = Gen.Select(
        Gen.Frequency((10, Gen.Const(Step.Arrive)), (4, Gen.Const(Step.End)), (4, Gen.Const(Step.Wait)), (3, Gen.Const(Step.Beat)),
            (1, Gen.Const(Step.Crash)), (1, Gen.Const(Step.Flush)), (1, Gen.Const(Step.SetClock))),
        Gen.Int[0, Nodes - 1], Gen.Int[0, 1000], Gen.Int[0, 1000]).Array[1, 100];

    [Fact]
    public async Task SharedRates_AnySequence_DecideLikeTheModel()
    {
        using var redis = PrivateRedis.Start();
        await Steps.SampleAsync(async steps =>
        {
            await using var machine = new Machine(redis);
            await machine.RunAsync(steps);
        }, iter: 60, threads: 1);
    }

    private sealed class Machine(PrivateRedis redis) : IAsyncDisposable
    {
        private static readonly LimitSet Limits = new() { RequestsPerMinute = 30, InputTokensPerMinute = 1000, ConcurrentGenerations = 5, Burst = 0.5m };

        private readonly LimitTime _time = new();
        private readonly RedisNode[] _nodes = new RedisNode[Nodes];
        private readonly Caller[] _callers = new Caller[Nodes];
        private readonly ModelRate _requests = new(30, 15);
        private readonly ModelRate _input = new(1000, 500);
        private readonly List<(int Node, GatewayCall Call, int Id, long Input)> _running = [];
        private readonly Dictionary<int, long> _held = [];
        private long _ahead;
        private int _count;

        private long Now => (_time.GetTimestamp() / TimeSpan.TicksPerMicrosecond) + _ahead;

        private long Expiry => Now + ((long)RedisRateStore.Lease.TotalMilliseconds * 1000);

        public async Task RunAsync((Step Step, int Node, int A, int B)[] steps)
        {
            for (var i = 0; i < Nodes; i++) await StartAsync(i);
            await _nodes[0].ExecuteAsync("FLUSHALL");
            foreach (var (step, node, a, b) in steps)
            {
                switch (step)
                {
                    case Step.Arrive: await ArriveAsync(node, 1 + (a / 4)); break;
                    case Step.End when _running.Count > 0: await EndAsync(a % _running.Count, b); break;
                    case Step.Wait: RedisNode.Advance(_time, TimeSpan.FromMilliseconds(a * b / 100.0)); break;
                    case Step.Beat:
                        await _nodes[node].BeatAsync();
                        foreach (var call in _running.Where(call => call.Node == node)) _held[call.Id] = Expiry;
                        if (_running.Any(call => call.Node == node)) DropExpired();
                        break;
                    case Step.Crash:
                        // Its calls neither end nor are they shown any more.
                        await _nodes[node].DisposeAsync();
                        await StartAsync(node);
                        _running.RemoveAll(call => call.Node == node);
                        break;
                    case Step.Flush:
                        await _nodes[node].ExecuteAsync("FLUSHALL");
                        _held.Clear();
                        _requests.Forget();
                        _input.Forget();
                        break;
                    case Step.SetClock: _ahead = Math.Max(0, _ahead + ((a - 500) * 60_000L)); break;
                }
                Assert.All(_nodes, one => Assert.True(one.Circuit.IsAvailable));
            }
        }

        public async ValueTask DisposeAsync()
        {
            foreach (var node in _nodes) await node.DisposeAsync();
        }

        private async Task StartAsync(int node)
        {
            _nodes[node] = await RedisNode.StartAsync(redis, _time, clock: () => Now);
            _callers[node] = LimitCalls.CallerOf(key: Limits);
        }

        private async Task ArriveAsync(int node, long input)
        {
            var now = Now;
            DropExpired();
            // Both look at the clock, whatever they decide.
            var expected = _requests.Fits(1, now) & _input.Fits(input, now) & _held.Count < 5;
            var (call, error) = await _nodes[node].ReserveAsync(_callers[node], input: input);
            Assert.True(expected == (error is null), $"The model says {expected}, the ledger {error?.Message ?? "yes"}");
            if (expected)
            {
                _requests.Add(1, now);
                _input.Add(input, now);
                _held[++_count] = Expiry;
                _running.Add((node, call, _count, input));
            }
            foreach (var state in call.Limits!.Read())
            {
                var remaining = state.Name switch
                {
                    LimitName.RequestsPerMinute => _requests.Remaining(now),
                    LimitName.InputTokensPerMinute => _input.Remaining(now),
                    _ => Math.Max(0, 5 - _held.Count),
                };
                Assert.True(remaining == state.Remaining, $"{state}, but {remaining} remain");
            }
        }

        // Redis does it whenever it counts, so that they stay away if the clock is set back.
        private void DropExpired()
        {
            foreach (var (id, expiry) in _held.ToArray())
            {
                if (expiry <= Now) _held.Remove(id);
            }
        }

        private async Task EndAsync(int index, int b)
        {
            var (node, call, id, input) = _running[index];
            _running.RemoveAt(index);
            // From nothing to twice the estimate.
            var used = input * b / 500;
            await _nodes[node].SettleAsync(call, used);
            _held.Remove(id);
            DropExpired();
            _requests.Add(0, Now);
            _input.Add(used - input, Now);
        }
    }

    /// <summary>What is missing of a bucket, in amounts × microseconds of a minute, when it was last written.</summary>
    private sealed class ModelRate(long limit, long capacity)
    {
        private const long Minute = 60_000_000;

        private BigInteger _missing;
        private long _at;
        private bool _exists;

        public bool Fits(long amount, long now)
        {
            SetBack(now);
            return At(now) + (amount * (BigInteger)Minute) <= capacity * (BigInteger)Minute;
        }

        public void Add(long amount, long now)
        {
            SetBack(now);
            if (amount != 0) (_missing, _at, _exists) = (BigInteger.Max(0, At(now) + (amount * (BigInteger)Minute)), now, true);
        }

        public long Remaining(long now)
        {
            var missing = At(now);
            return missing >= capacity * (BigInteger)Minute ? 0 : (long)(((capacity * (BigInteger)Minute) - missing) / Minute);
        }

        public void Forget() => (_missing, _exists) = (0, false);

        // A clock that was set back refills nothing, and everything from there on.
        private void SetBack(long now)
        {
            if (_exists && _at > now) _at = now;
        }

        private BigInteger At(long now) => !_exists || now <= _at ? _missing : BigInteger.Max(0, _missing - ((now - _at) * (BigInteger)limit));
    }
}
