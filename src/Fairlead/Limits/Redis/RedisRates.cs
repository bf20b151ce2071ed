using System.Security.Cryptography;
using Fairlead.Configuration;
using Fairlead.Errors;

namespace Fairlead.Limits.Redis;

/// <summary>
/// Rates and concurrency in Redis: one script for each reservation, one for each settlement, for which no call waits. While Redis is
/// unavailable, <c>limits.onStoreFailure</c> applies: this node decides in its share of the limits, or rejects. Thread-safe.
/// </summary>
internal sealed class RedisRates(
    RedisConnection connection, RedisRateStore store, RedisCircuit circuit, RedisMetrics metrics, LimitAccounts accounts,
    IConfigurationSource? configuration) : ISharedRates
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private readonly HeldConcurrency _held = new();
    private readonly PendingSettlements _pending = new();
    private long _calls;

    public bool IsEnabled => connection.IsConfigured;

    /// <summary>Whether calls use Redis now.</summary>
    public bool IsAvailable => circuit.IsAvailable;

    /// <summary>Names this process in Redis. Another one has another name, also on the same node.</summary>
    public string Node { get; } = RandomNumberGenerator.GetHexString(16, lowercase: true);

    /// <summary>Completes when Redis has the settlements that were sent, or they have failed.</summary>
    public Task Settled => _pending.Completion;

    public ValueTask<SharedRatesResult> ReserveAsync(TokenReservation reservation, AppliedLimits limits, LimitAmounts amounts)
    {
        var member = reservation.Member ??= $"{Node}:{Interlocked.Increment(ref _calls)}";
        return circuit.IsAvailable ? ReserveInRedisAsync(reservation, limits, amounts, member)
            : new(ReserveHere(reservation, limits, amounts, member));
    }

    public void Settle(TokenReservation reservation, in LimitAmounts used)
    {
        if (reservation is not { Member: { } member, Rates: { } limits }) return;
        _held.Remove(member);
        if (circuit.IsAvailable) _ = SettleInRedisAsync(limits, reservation.Amounts, used, member);
        else SharedCounters.Remember(limits, reservation.Amounts, used);
    }

    /// <summary>
    /// Shows Redis that this node and its calls are alive, and reports what it does not know. From then on, calls use Redis.
    /// Has one caller at a time.
    /// </summary>
    public async Task BeatAsync(CancellationToken cancellationToken)
    {
        try
        {
            await connection.OpenAsync(cancellationToken);
            var nodes = await store.BeatAsync(Node);
            if (!circuit.IsAvailable) await ReportAsync();
            await _held.ShowAsync(store);
            circuit.Close(nodes);
        }
        catch (Exception exception) when (exception is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // Whatever it is: the next one tries again.
            circuit.Open(exception);
        }
    }

    /// <summary>Redis could not be reached in time. Until a heartbeat succeeds, calls do not use it.</summary>
    public void NotResponding() => circuit.Open(new TimeoutException());

    /// <summary>Tells the other nodes that this one stops.</summary>
    public async Task LeaveAsync(CancellationToken cancellationToken)
    {
        if (!circuit.IsAvailable) return;
        try
        {
            await Settled.WaitAsync(cancellationToken);
            await store.LeaveAsync(Node);
        }
        catch (Exception exception) when (RedisErrors.IsUnavailable(exception))
        {
            circuit.Open(exception);
        }
    }

    private async ValueTask<SharedRatesResult> ReserveInRedisAsync(
        TokenReservation reservation, AppliedLimits limits, LimitAmounts amounts, string member)
    {
        while (true)
        {
            RateReply reply;
            try
            {
                reply = await store.ReserveAsync(limits, amounts, member, circuit.Opened);
            }
            catch (Exception exception) when (RedisErrors.IsUnavailable(exception))
            {
                // If Redis has taken it nevertheless, the rates are a call stricter for a minute, and the call expires with its lease.
                if (exception is not OperationCanceledException) circuit.Open(exception);
                return ReserveHere(reservation, limits, amounts, member);
            }
            if (SharedCounters.Take(reservation, limits, amounts, reply, out var isNear) is not { } refusing)
            {
                metrics.Reserved("redis");
                _held.Add(member, limits);
                return new SharedRatesResult { IsTaken = true, IsNear = isNear };
            }
            if (refusing.Count > 0)
            {
                metrics.Reserved("redis");
                return new SharedRatesResult { Refusing = refusing };
            }
            // A limit was raised while Redis decided.
        }
    }

    private SharedRatesResult ReserveHere(TokenReservation reservation, AppliedLimits limits, LimitAmounts amounts, string member)
    {
        if (configuration?.Current.Limits.OnStoreFailure == StoreFailurePolicy.Reject)
        {
            metrics.Reserved("rejected");
            var error = new GatewayError(ErrorCode.StoreUnavailable, "The rates that apply to the call cannot be checked now.");
            return new SharedRatesResult { Unavailable = error with { RetryAfter = RetryAfter } };
        }
        metrics.Reserved("local");
        while (true)
        {
            SharedCounters.ShareOut(limits, circuit.Nodes);
            var status = limits.Accounts.TryReserve(reservation, limits, ReservationParts.Rates, amounts, out var isNear);
            // Accounts are not dropped while a reservation holds money in them.
            if (status == ReserveStatus.Dropped) throw new InvalidOperationException("The reservation holds no money.");
            if (status == ReserveStatus.Reserved)
            {
                _held.Add(member, limits);
                return new SharedRatesResult { IsTaken = true, IsNear = isNear };
            }
            if (limits.Accounts.Refusing(reservation, limits, ReservationParts.Rates, amounts) is { Count: > 0 } refusing)
                return new SharedRatesResult { Refusing = refusing };
            // Something was released meanwhile.
        }
    }

    private async Task SettleInRedisAsync(AppliedLimits limits, LimitAmounts held, LimitAmounts used, string member)
    {
        _pending.Enter();
        try
        {
            var reply = await store.SettleAsync(limits, held, used, member, circuit.Opened);
            // Reservations in the share of this node must not be lost from sight.
            if (circuit.IsAvailable) SharedCounters.Show(limits, reply);
        }
        catch (Exception exception) when (RedisErrors.IsUnavailable(exception))
        {
            if (exception is not OperationCanceledException) circuit.Open(exception);
            SharedCounters.Remember(limits, held, used);
        }
        finally
        {
            _pending.Leave();
        }
    }

    private async Task ReportAsync()
    {
        foreach (var organization in accounts.Organizations)
        {
            foreach (var use in SharedCounters.TakeUnreported(organization)) await store.AddAsync(use);
        }
    }
}
