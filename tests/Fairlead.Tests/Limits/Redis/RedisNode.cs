using System.Diagnostics.Metrics;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Limits.Redis;
using Fairlead.Pipeline;
using Fairlead.Tests.Catalogue;
using Fairlead.Tests.Common;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;

namespace Fairlead.Tests.Limits.Redis;

/// <summary>The ledger of one node that counts rates in a Redis, with a clock that a test moves, also for the scripts. Timestamps of the clock are in whole microseconds.</summary>
internal sealed class RedisNode : IAsyncDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly PrivateRedis _redis;
    private readonly RedisConnection _connection;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _watching;
    private ConnectionMultiplexer? _administration;

    public RedisNode(PrivateRedis redis, LimitTime time, StoreFailurePolicy policy = StoreFailurePolicy.Local, ICurrentCallers? callers = null,
        ILogger<RedisCircuit>? logger = null, Func<long>? clock = null, bool isWatched = true)
    {
        Time = time;
        _redis = redis;
        // Where no watch ends waits, the driver does not either.
        _connection = new RedisConnection(isWatched ? redis.ConnectionString : redis.Words + ",asyncTimeout=60000");
        Metrics = new RedisMetrics(_services.GetRequiredService<IMeterFactory>());
        Circuit = new RedisCircuit(Metrics, time, logger ?? NullLogger<RedisCircuit>.Instance);
        Watch = new RedisWatch(Circuit);
        // By real time: Redis is real.
        _watching = isWatched ? Watch.RunAsync(TimeProvider.System, _stop.Token) : Task.CompletedTask;
        Store = new RedisRateStore(_connection, Watch, clock ?? (() => time.GetTimestamp() / TimeSpan.TicksPerMicrosecond));
        Accounts = new LimitAccounts(time);
        Rates = new RedisRates(_connection, Store, Circuit, Metrics, Accounts, 
            new FakeConfigurationSource(new GatewayConfiguration().With(new LimitsConfig { OnStoreFailure = policy })));
        Leases = new ProcessBudgetLeases(time);
        Ledger = new InMemoryTokenLedger(Accounts, Leases, Histories, callers, Rates);
    }

    public LimitTime Time { get; }

    public RedisRateStore Store { get; }

    public LimitAccounts Accounts { get; }

    public RedisMetrics Metrics { get; }

    public RedisCircuit Circuit { get; }

    public RedisWatch Watch { get; }

    public RedisRates Rates { get; }

    public ProcessBudgetLeases Leases { get; }

    public OutputHistories Histories { get; } = new();

    public InMemoryTokenLedger Ledger { get; }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>A node that has shown that it is alive, so that its calls use Redis.</summary>
    public static async Task<RedisNode> StartAsync(PrivateRedis redis, LimitTime time, StoreFailurePolicy policy = StoreFailurePolicy.Local,
        ICurrentCallers? callers = null, ILogger<RedisCircuit>? logger = null, Func<long>? clock = null)
    {
        var node = new RedisNode(redis, time, policy, callers, logger, clock);
        await node.BeatAsync();
        Assert.True(node.Circuit.IsAvailable);
        return node;
    }

    public Task BeatAsync() => Rates.BeatAsync(Cancel);

    /// <summary>Lets time pass, in whole microseconds.</summary>
    public static void Advance(LimitTime time, TimeSpan by) => time.Advance(new TimeSpan(
        (by.Ticks + TimeSpan.TicksPerMicrosecond - 1) / TimeSpan.TicksPerMicrosecond * TimeSpan.TicksPerMicrosecond));

    /// <summary>Beats until Redis responds again.</summary>
    public async Task HealAsync()
    {
        while (!Circuit.IsAvailable)
        {
            await BeatAsync();
            if (!Circuit.IsAvailable) await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
        }
    }

    public async Task<(GatewayCall Call, GatewayError? Error)> ReserveAsync(Caller caller, CatalogueModel? model = null, long input = 10, int? max = 10)
    {
        var call = LimitCalls.Of(Time, caller, model ?? LimitCalls.ModelOf(), input, max);
        return (call, await Ledger.ReserveAsync(call, ReservationParts.All, Cancel));
    }

    /// <summary>Reserves until a call is refused.</summary>
    public async Task<int> ReserveAllAsync(Caller caller, int max = 1000)
    {
        var served = 0;
        while (served < max && (await ReserveAsync(caller)).Error is null) served++;
        return served;
    }

    /// <summary>Becomes unavailable for this node, as after a failure.</summary>
    public void Fail() => Circuit.Open(new TimeoutException());

    /// <summary>Settles and waits until Redis has it.</summary>
    public async Task SettleAsync(GatewayCall call, long input = 10, long output = 10)
    {
        Ledger.Settle(call.Reservation!, new Usage(input, output), new Cost(0, Basis.Measured));
        await Rates.Settled;
    }

    /// <summary>Runs a command that no node sends.</summary>
    public async Task<RedisResult> ExecuteAsync(string command, params object[] arguments)
    {
        _administration ??= await ConnectionMultiplexer.ConnectAsync(_redis.Words + ",allowAdmin=true,asyncTimeout=60000");
        return await _administration.GetDatabase().ExecuteAsync(command, arguments);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watching.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        _stop.Dispose();
        await _connection.DisposeAsync();
        if (_administration is not null) await _administration.DisposeAsync();
        Circuit.Dispose();
        await _services.DisposeAsync();
    }
}
