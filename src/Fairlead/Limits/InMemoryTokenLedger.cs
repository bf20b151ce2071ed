using System.Data.Common;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Storage;

namespace Fairlead.Limits;

/// <summary>
/// Reserves and settles in process: 1. find the limits that apply, 2. compute what the call takes of them, 3. take all of it, or nothing,
/// 4. if the slice of a budget is too small, lease more and try again, 5. otherwise cap an output whose maximum is open, 6. otherwise refuse
/// with the wait. Thread-safe without a global lock; steps 1 to 3 allocate only the reservation. If all nodes count rates together, budgets
/// are taken first, then the rates and concurrency there, or the budgets are released.
/// </summary>
internal sealed class InMemoryTokenLedger(
    LimitAccounts accounts, IBudgetLeases leases, OutputHistories histories, ICurrentCallers? callers, ISharedRates? shared = null)
    : ITokenLedger
{
    private readonly ISharedRates? _shared = shared is { IsEnabled: true } ? shared : null;

    /// <summary>
    /// How often a call asks for slices and finds them taken by others. Far more than ever happens, so that the loop has an end.
    /// </summary>
    private const int MaxAsks = 1000;

    /// <summary>How often a call whose output can be capped asks for the whole before it is.</summary>
    private const int MaxAsksBeforeCap = 2;

    private static readonly TimeSpan StoreRetryAfter = TimeSpan.FromSeconds(5);

    /// <summary>What all calls hold and have used since the process started.</summary>
    public LedgerTotals Totals() => accounts.Totals();

    public ValueTask<GatewayError?> ReserveAsync(GatewayCall call, ReservationParts parts, CancellationToken cancellationToken)
    {
        // 1.
        var limits = accounts.Of(call.Caller, call.Model, call.Class);
        call.Limits = limits;
        limits.Adapt();

        // 2.
        var amounts = CallAmounts.Of(call, limits, histories);

        // 3.
        var reservation = call.Reservation ?? new TokenReservation(call.Caller, call.Model.Id, call.Class, call.StartedAt) { CallersVersion = callers?.Version };
        if (_shared is not null && (parts & ReservationParts.Rates) != 0 && limits.HasRates)
            return ReserveSharedAsync(_shared, call, reservation, limits, parts, amounts, cancellationToken);
        var status = limits.Accounts.TryReserve(reservation, limits, parts, amounts, out var isNear);
        if (status != ReserveStatus.Reserved) return ReserveSlowlyAsync(call, reservation, limits, parts, amounts, status, cancellationToken);
        Reserved(call, reservation, limits, isNear);
        return default;
    }

    public async ValueTask<GatewayError?> ExtendAsync(GatewayCall call, CancellationToken cancellationToken)
    {
        var (tokens, usd) = (0L, 0m);
        foreach (var attempt in call.Attempts)
        {
            usd += attempt.Cost.Usd;
            tokens += attempt.Usage.TotalTokens;
        }
        if (!CallBudget.Allows(call)) return Stop(call, null);
        if (call.Reservation is not { Money: { } limits } reservation || limits.Budgets.Length == 0) return null;

        var next = CallAmounts.Of(call, limits, histories);
        var amounts = new LimitAmounts { Tokens = tokens + next.Tokens, Pico = Money.Add(CallAmounts.ToPico(usd), next.Pico) };
        for (var asks = 0; limits.Accounts.TryExtend(reservation, amounts) == ReserveStatus.Short; asks++)
        {
            var more = reservation.Missing(amounts);
            try
            {
                ReturnChanged(limits);
                var needs = new SliceNeeds(limits.Budgets, reservation.AcceptedAt, more, more);
                if (asks < MaxAsks && await limits.Accounts.Slices.AcquireAsync(needs, leases, cancellationToken) != SliceRequest.None) continue;
            }
            catch (Exception exception) when (exception is DbException or TimeoutException or StorageException)
            {
                return StoreUnavailable();
            }
            if (limits.Accounts.States.Refusing(reservation, limits, ReservationParts.Money, more) is { Count: > 0 } refusing)
                return Stop(call, LimitRefusal.Of(refusing));
        }
        return null;
    }

    public void Settle(TokenReservation reservation, in Usage usage, in Cost cost)
    {
        var limits = reservation.Money ?? reservation.Rates;
        if (limits is null) return;
        // Limits that were added while the call ran count its usage. They are known once a caller that has them was resolved.
        if (callers is not null && !ReferenceEquals(callers.Version, reservation.CallersVersion)
            && callers.Find(reservation.KeyId) is { } current && current.OrganizationId == reservation.OrganizationId)
        {
            accounts.Declare(current);
        }
        var used = new LimitAmounts
        {
            Input = usage.InputTokens,
            Output = usage.OutputTokens,
            Tokens = usage.TotalTokens,
            Pico = Money.ToPico(cost.Usd),
        };
        if (!limits.Accounts.Settle(reservation, used, leases)) return;
        _shared?.Settle(reservation, used);
        if (reservation.Rates?.OutputCapacity is not null) histories.Add(reservation.KeyId, reservation.Model, usage.OutputTokens);
    }

    public void ReleaseRates(TokenReservation reservation)
    {
        if (reservation is { IsSettled: true } or { Rates: null }) return;
        var (limits, held) = (reservation.Rates, reservation.Amounts);
        limits.Accounts.ReleaseRates(reservation);
        _shared?.Release(reservation, limits, held);
        // It is another call there when it takes rates again.
        reservation.Member = null;
    }

    // Budgets are taken in process, so a call that they refuse asks no other node, and one that a rate refuses returns them at once.
    private async ValueTask<GatewayError?> ReserveSharedAsync(ISharedRates shared, GatewayCall call, TokenReservation reservation,
        AppliedLimits limits, ReservationParts parts, LimitAmounts amounts, CancellationToken cancellationToken)
    {
        var before = call.Reservation;
        var takesMoney = (parts & ReservationParts.Money) != 0;
        var isNear = false;
        if (takesMoney)
        {
            var status = limits.Accounts.TryReserve(reservation, limits, ReservationParts.Money, amounts, out isNear);
            if (status != ReserveStatus.Reserved)
            {
                var slowly = ReserveSlowlyAsync(
                    call, reservation, limits, ReservationParts.Money, amounts, status, cancellationToken, alsoRefusing: parts);
                if (await slowly is { } refused) return refused;
                // It may have been capped.
                limits = reservation.Money!;
                amounts = CallAmounts.Of(call, limits, histories);
            }
        }
        var result = default(SharedRatesResult);
        try
        {
            result = await shared.ReserveAsync(reservation, limits, amounts);
            // Never while the reservation holds money in them.
            while (result.IsDropped)
            {
                limits = accounts.Of(call.Caller, call.Model, call.Class);
                call.Limits = limits;
                limits.Adapt();
                amounts = CallAmounts.Of(call, limits, histories);
                result = await shared.ReserveAsync(reservation, limits, amounts);
            }
        }
        finally
        {
            if (!result.IsTaken)
            {
                call.Reservation = before;
                if (takesMoney) limits.Accounts.ReleaseMoney(reservation);
            }
        }
        if (result.IsTaken)
        {
            Reserved(call, reservation, limits, isNear || result.IsNear);
            return null;
        }
        if (result.Unavailable is { } unavailable) return unavailable;
        // With the budgets, which may refuse when the wait for the rates is over.
        return LimitRefusal.Of(
            limits.Accounts.States.Refusing(reservation, limits, parts, amounts) is { Count: > 0 } refusing ? refusing : result.Refusing!);
    }

    private async ValueTask<GatewayError?> ReserveSlowlyAsync(GatewayCall call, TokenReservation reservation, AppliedLimits limits,
        ReservationParts parts, LimitAmounts amounts, ReserveStatus status, CancellationToken cancellationToken,
        ReservationParts alsoRefusing = default)
    {
        var shown = parts | alsoRefusing;
        var least = CallAmounts.LeastOf(call, limits, amounts);
        var asks = 0;
        for (var rounds = 0; ;)
        {
            switch (status)
            {
                case ReserveStatus.Dropped:
                    limits = accounts.Of(call.Caller, call.Model, call.Class);
                    call.Limits = limits;
                    limits.Adapt();
                    amounts = CallAmounts.Of(call, limits, histories);
                    least = CallAmounts.LeastOf(call, limits, amounts);
                    break;

                case ReserveStatus.Short:
                    // 4.
                    var canCap = !least.Equals(amounts);
                    // It has asked for the whole. Now it takes what is there, or asks for the least that it can use.
                    var takesLess = canCap && asks >= MaxAsksBeforeCap;
                    if (takesLess && TryCap(call, reservation, limits))
                    {
                        amounts = CallAmounts.Of(call, limits, histories);
                        break;
                    }
                    try
                    {
                        ReturnChanged(limits);
                        if (rounds++ < MaxAsks)
                        {
                            var needs = new SliceNeeds(limits.Budgets, reservation.AcceptedAt, takesLess ? least : amounts, least);
                            var request = await limits.Accounts.Slices.AcquireAsync(needs, leases, cancellationToken);
                            if (request == SliceRequest.Asked) asks++;
                            if (request != SliceRequest.None) break;
                        }
                    }
                    catch (Exception exception) when (exception is DbException or TimeoutException or StorageException)
                    {
                        return StoreUnavailable();
                    }

                    // 5.
                    if (canCap && TryCap(call, reservation, limits))
                    {
                        amounts = CallAmounts.Of(call, limits, histories);
                        break;
                    }

                    // 6.
                    if (limits.Accounts.States.Refusing(reservation, limits, shown, least) is { Count: > 0 } refusing)
                        return LimitRefusal.Of(refusing);
                    break;

                case ReserveStatus.Refused:
                    if (limits.Accounts.States.Refusing(reservation, limits, parts, amounts) is { Count: > 0 } limited)
                        return LimitRefusal.Of(limited);
                    break;
            }

            // Something was released meanwhile, leased or capped.
            cancellationToken.ThrowIfCancellationRequested();
            status = limits.Accounts.TryReserve(reservation, limits, parts, amounts, out var isNear);
            if (status != ReserveStatus.Reserved) continue;
            Reserved(call, reservation, limits, isNear);
            return null;
        }
    }

    // After a limit has changed, its budget has no slice, so the next call comes here.
    private void ReturnChanged(AppliedLimits limits)
    {
        if (limits.Accounts.Slices.TakeChanged() is { Count: > 0 } changed) leases.Return(changed);
    }

    private static void Reserved(GatewayCall call, TokenReservation reservation, AppliedLimits limits, bool isNear)
    {
        reservation.OutputCap ??= call.OutputCap;
        call.Reservation = reservation;
        if (isNear) LimitWarnings.Add(call, limits);
    }

    /// <summary>Caps the output to what the slices still pay for.</summary>
    private static bool TryCap(GatewayCall call, TokenReservation reservation, AppliedLimits limits)
    {
        var (tokens, pico) = limits.Accounts.Slices.Available(reservation, limits);
        var cap = WorstCase.AffordableOutput(call, pico is { } money ? Money.FromPico(money) : null, tokens);
        if (cap < call.Dialect.MinOutputCap || cap >= (call.MaxOutputTokens ?? int.MaxValue)) return false;
        call.CapOutput(cap);
        CallBudget.WarnOfCap(call, cap, "which is what the budgets that apply still pay for");
        return true;
    }

    private static GatewayError Stop(GatewayCall call, GatewayError? error)
    {
        call.StoppedByBudget = true;
        call.Warn("budget_exhausted", error is null
            ? "The rest of the call's budget does not cover another attempt."
            : "The rest of a budget does not cover another attempt.");
        return error ?? new GatewayError(ErrorCode.BudgetExceeded, "The rest of the call's budget does not cover another attempt.");
    }

    // A budget whose truth is unknown lets nothing pass.
    private static GatewayError StoreUnavailable() =>
        new(ErrorCode.StoreUnavailable, "The budgets that apply to the call cannot be checked now.") { RetryAfter = StoreRetryAfter };
}
