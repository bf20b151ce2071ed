using System.Collections.Concurrent;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>
/// Reserves and settles in process, without limits: nothing is refused, but every call's worst case is reserved while it runs and released
/// when it ends. A reservation that remains after all calls ended is a leak, and tests look for it. Thread-safe without a global lock.
/// </summary>
internal sealed class InMemoryTokenLedger : ITokenLedger
{
    private readonly ConcurrentDictionary<string, Account> _accounts = new(StringComparer.Ordinal);

    public ValueTask<ReservationResult> ReserveAsync(GatewayCall call, CancellationToken cancellationToken)
    {
        var (input, output, usd) = WorstCase.Of(call);
        var caller = call.Caller;
        var reservation = new TokenReservation(caller.OrganizationId, caller.ProjectId, caller.KeyId, input, output, usd);
        _accounts.GetOrAdd(caller.KeyId, static _ => new Account()).Hold(input + output, usd);
        return new(new ReservationResult(reservation, null));
    }

    public void Settle(TokenReservation reservation, in Usage usage, in Cost cost)
    {
        if (!reservation.TrySettle()) return;
        if (_accounts.TryGetValue(reservation.KeyId, out var account))
        {
            account.Settle(reservation.InputTokens + reservation.OutputTokens, reservation.Usd, usage.TotalTokens, cost.Usd);
        }
    }

    /// <summary>
    /// Tokens and money reserved by all calls of a key at this moment, and what its ended calls used since the process started.
    /// </summary>
    public (long HeldTokens, decimal HeldUsd, long UsedTokens, decimal UsedUsd, int Open) StateOf(string keyId) =>
        _accounts.TryGetValue(keyId, out var account) ? account.Read() : default;

    /// <summary>The same over all keys.</summary>
    public (long HeldTokens, decimal HeldUsd, long UsedTokens, decimal UsedUsd, int Open) Totals()
    {
        (long HeldTokens, decimal HeldUsd, long UsedTokens, decimal UsedUsd, int Open) sum = default;
        foreach (var account in _accounts.Values)
        {
            var one = account.Read();
            sum = (sum.HeldTokens + one.HeldTokens, sum.HeldUsd + one.HeldUsd, sum.UsedTokens + one.UsedTokens, sum.UsedUsd + one.UsedUsd,
                sum.Open + one.Open);
        }
        return sum;
    }

    private sealed class Account
    {
        private readonly Lock _gate = new();
        private long _heldTokens;
        private decimal _heldUsd;
        private long _usedTokens;
        private decimal _usedUsd;
        private int _open;

        public void Hold(long tokens, decimal usd)
        {
            lock (_gate)
            {
                _heldTokens += tokens;
                _heldUsd += usd;
                _open++;
            }
        }

        public void Settle(long heldTokens, decimal heldUsd, long usedTokens, decimal usedUsd)
        {
            lock (_gate)
            {
                _heldTokens -= heldTokens;
                _heldUsd -= heldUsd;
                _usedTokens += usedTokens;
                _usedUsd += usedUsd;
                _open--;
            }
        }

        public (long HeldTokens, decimal HeldUsd, long UsedTokens, decimal UsedUsd, int Open) Read()
        {
            lock (_gate) return (_heldTokens, _heldUsd, _usedTokens, _usedUsd, _open);
        }
    }
}
