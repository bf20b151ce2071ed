using Fairlead.Conversation;

namespace Fairlead.Limits;

/// <summary>What calls hold and have used, whether limits apply to them or not. A reservation that stays open is a leak.</summary>
internal record struct LedgerTotals
{
    private long _heldPico;
    private long _usedPico;

    /// <summary>Reservations that are not settled.</summary>
    public int Open { get; set; }

    public long HeldTokens { get; private set; }

    public long UsedTokens { get; private set; }

    public readonly decimal HeldUsd => Money.FromPico(_heldPico);

    public readonly decimal UsedUsd => Money.FromPico(_usedPico);

    public void Held(long tokens, long pico)
    {
        HeldTokens += tokens;
        _heldPico += pico;
    }

    public void Used(long tokens, long pico)
    {
        UsedTokens += tokens;
        _usedPico = Money.Add(_usedPico, pico);
    }

    public void Add(in LedgerTotals other)
    {
        Open += other.Open;
        Held(other.HeldTokens, other._heldPico);
        Used(other.UsedTokens, other._usedPico);
    }
}
