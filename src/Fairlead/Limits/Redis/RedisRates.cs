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
    private readonly UnreportedRates _unreported = new(RandomNumberGenerator.GetHexString(16, lowercase: true));
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
        return !circuit.IsAvailable && ReserveHere(reservation, limits, amounts, member, isSent: false) is { } result
            ? new(result) : ReserveInRedisAsync(reservation, limits, amounts, member);
    }

    public void Settle(TokenReservation reservation, in LimitAmounts used)
    {
        if (reservation.Rates is { } limits) End(reservation, limits, reservation.Amounts, used);
    }

    public void Release(TokenReservation reservation, AppliedLimits limits, in LimitAmounts held) =>
        End(reservation, limits, held, new LimitAmounts { IsReleased = true });

    private void End(TokenReservation reservation, AppliedLimits limits, in LimitAmounts held, in LimitAmounts used)
    {
        if (reservation.Member is not { } member) return;
        var isSent = _held.Remove(member);
        if (circuit.IsAvailable)
        {
            _ = SettleInRedisAsync(limits, held, used, member);
            return;
        }
        if (isSent) _held.End(member, limits);
        SharedCounters.Remember(limits, held, used, reservation.Outage == circuit.Outages, _unreported);
    }

    /// <summary>
    /// Shows Redis that this node and its calls are alive, and reports what it does not know. From then on, calls use Redis.
    /// Has one caller at a time.
    /// </summary>
    public async Task BeatAsync(CancellationToken cancellationToken)
    {
        try
        {
            var (outages, isHealing) = (circuit.Outages, !circuit.IsAvailable);
            await connection.OpenAsync(cancellationToken);
            var nodes = await store.BeatAsync(Node);
            await _unreported.ReportAsync(store);
            await _held.ShowAsync(store);
            if (!circuit.Close(nodes, outages) || !isHealing) return;
            foreach (var organization in accounts.Organizations) SharedCounters.Unshare(organization, circuit);
            // What was used, has started and has ended while it was told.
            await _unreported.ReportAsync(store);
            await _held.ShowAsync(store);
        }
        catch (Exception exception) when (exception is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // Whatever it is: the next one tries again.
            circuit.Open(exception);
        }
    }

    /// <summary>Redis could not be reached in time. Until a heartbeat succeeds, calls do not use it.</summary>
    public void NotResponding() => circuit.Open(new TimeoutException());

    /// <summary>Tells the other nodes that this one stops. No heartbeat may run.</summary>
    public async Task LeaveAsync(CancellationToken cancellationToken)
    {
        if (!circuit.IsAvailable) return;
        try
        {
            await Settled.WaitAsync(cancellationToken);
            await _unreported.ReportAsync(store).WaitAsync(cancellationToken);
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
        for (var isRepeat = false; ;)
        {
            var outages = circuit.Outages;
            try
            {
                var reply = await store.ReserveAsync(limits, amounts, member, circuit.Opened);
                if (TryTake(reservation, limits, amounts, member, reply, outages, out var result))
                {
                    // Otherwise a limit was raised while Redis decided.
                    if (result is { IsTaken: false, Refusing.Count: 0 }) continue;
                    metrics.Reserved("redis");
                    if (!result.IsTaken && isRepeat) Forget(reservation, limits, member);
                    return result;
                }
            }
            catch (Exception exception) when (RedisErrors.IsUnavailable(exception))
            {
                if (exception is not OperationCanceledException) circuit.Open(exception);
            }
            // If Redis has taken it nevertheless, the rates are a call stricter for a minute.
            if (ReserveHere(reservation, limits, amounts, member, isSent: true) is { } here) return here;
            // Redis is available again. What the first try took of concurrency is not counted against the next.
            isRepeat = true;
        }
    }

    private bool TryTake(TokenReservation reservation, AppliedLimits limits, in LimitAmounts amounts, string member, RateReply reply,
        long outages, out SharedRatesResult result)
    {
        lock (limits.Accounts.Gate)
        {
            var isInTime = SharedCounters.TryTake(reservation, limits, amounts, reply, circuit, outages, out result);
            if (result.IsTaken) _held.Add(member, limits, isSent: true);
            return isInTime;
        }
    }

    /// <summary>Redis may have taken it, and it does not run. It is another call there when it is tried again.</summary>
    private void Forget(TokenReservation reservation, AppliedLimits limits, string member)
    {
        _held.End(member, limits);
        reservation.Member = null;
        if (limits.Concurrency.Length > 0 && circuit.IsAvailable) _ = EndNowAsync();
    }

    // The next heartbeat tells it again: a reservation that was sent on a lost connection may still be on its way.
    private async Task EndNowAsync()
    {
        _pending.Enter();
        try
        {
            await _held.TellEndedAsync(store);
        }
        catch (Exception exception) when (RedisErrors.IsUnavailable(exception))
        {
            circuit.Open(exception);
        }
        finally
        {
            _pending.Leave();
        }
    }

    /// <returns>Null if Redis is available again.</returns>
    private SharedRatesResult? ReserveHere(
        TokenReservation reservation, AppliedLimits limits, LimitAmounts amounts, string member, bool isSent)
    {
        SharedRatesResult result;
        var isRejected = configuration?.Current.Limits.OnStoreFailure == StoreFailurePolicy.Reject;
        // No reply is shown between the share and what is taken of it.
        lock (limits.Accounts.Gate)
        {
            if (circuit.IsAvailable) return null;
            result = isRejected ? Rejected() : TakeHere(reservation, limits, amounts);
            // With the lock, so that a heartbeat that makes Redis available again shows it.
            if (result.IsTaken) _held.Add(member, limits, isSent);
        }
        if (!result.IsDropped) metrics.Reserved(isRejected ? "rejected" : "local");
        if (!result.IsTaken && isSent) Forget(reservation, limits, member);
        return result;
    }

    private SharedRatesResult TakeHere(TokenReservation reservation, AppliedLimits limits, in LimitAmounts amounts)
    {
        while (true)
        {
            SharedCounters.ShareOut(limits, circuit.Nodes);
            var status = limits.Accounts.TryReserve(reservation, limits, ReservationParts.Rates, amounts, out var isNear);
            // Only if the reservation holds no money in them.
            if (status == ReserveStatus.Dropped) return new SharedRatesResult { IsDropped = true };
            if (status == ReserveStatus.Reserved)
            {
                reservation.Outage = circuit.Outages;
                _unreported.Mark(limits);
                return new SharedRatesResult { IsTaken = true, IsNear = isNear };
            }
            if (limits.Accounts.States.Refusing(reservation, limits, ReservationParts.Rates, amounts) is { Count: > 0 } refusing)
                return new SharedRatesResult { Refusing = refusing };
            // It has refilled meanwhile.
        }
    }

    private static SharedRatesResult Rejected() => new()
    {
        Unavailable = new GatewayError(ErrorCode.StoreUnavailable, "The rates that apply to the call cannot be checked now.")
        {
            RetryAfter = RetryAfter,
        },
    };

    private async Task SettleInRedisAsync(AppliedLimits limits, LimitAmounts held, LimitAmounts used, string member)
    {
        var outages = circuit.Outages;
        _pending.Enter();
        try
        {
            SharedCounters.Show(limits, await store.SettleAsync(limits, held, used, member, circuit.Opened), circuit, outages);
        }
        catch (Exception exception) when (RedisErrors.IsUnavailable(exception))
        {
            if (exception is not OperationCanceledException) circuit.Open(exception);
            // Redis may have it, or get it later.
            _held.End(member, limits);
            SharedCounters.Remember(limits, held, used, isHeldHere: false, _unreported);
        }
        finally
        {
            _pending.Leave();
        }
    }
}
