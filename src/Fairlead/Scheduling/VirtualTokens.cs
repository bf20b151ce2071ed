using System.Runtime.InteropServices;

namespace Fairlead.Scheduling;

/// <summary>Tokens that one organization got at one deployment and class, divided by its weight.</summary>
internal sealed class TokenAccount
{
    /// <summary>Virtual tokens: weighted tokens served, divided by the organization's weight.</summary>
    public double Tokens { get; set; }

    /// <summary>Output tokens that its calls usually have.</summary>
    public double AverageOutput { get; set; } = VirtualTokens.FirstOutputEstimate;

    /// <summary>Number of the last grant; 0 for none.</summary>
    public long LastGrant { get; set; }

    /// <summary>The last round in which the organization waited.</summary>
    internal long Round { get; set; }
}

/// <summary>
/// The virtual token counters of organizations (Sheng et al., Fairness in Serving Large Language Models, OSDI 2024) at one deployment and
/// class. The organization with the least counter is served next. One that starts to wait is lifted to the least counter of those that
/// already wait, so that nobody saves up. Not thread-safe.
/// </summary>
/// <remarks>A round: <see cref="StartRound"/>, <see cref="Present"/> for each organization that waits, <see cref="EndRound"/>.</remarks>
internal sealed class VirtualTokens
{
    /// <summary>An output token counts as this many input tokens, as in the paper: it takes the model longer.</summary>
    public const double OutputWeight = 2;

    /// <summary>Output tokens that are assumed of an organization's first calls.</summary>
    public const double FirstOutputEstimate = 256;

    private const int MinPruned = 256;
    private const int MaxAccounts = 20_000;

    private readonly Dictionary<string, TokenAccount> _accounts = new(StringComparer.Ordinal);
    private readonly List<TokenAccount> _new = [];
    private long _round = 1;
    private long _grants;
    private double _least;
    private double _floor;
    private double _lift;
    private int _pruneAt = MinPruned;

    /// <summary>Organizations that are remembered.</summary>
    public int Count => _accounts.Count;

    public void StartRound()
    {
        if (_accounts.Count >= _pruneAt) Prune();
        _round++;
        _least = double.PositiveInfinity;
        _new.Clear();
    }

    /// <summary>The account of an organization that waits in this round.</summary>
    public TokenAccount Present(string organization)
    {
        ref var account = ref CollectionsMarshal.GetValueRefOrAddDefault(_accounts, organization, out _);
        account ??= new TokenAccount();
        if (account.Round == _round) return account;
        if (account.Round == _round - 1) _least = Math.Min(_least, account.Tokens);
        else _new.Add(account);
        account.Round = _round;
        return account;
    }

    /// <summary>Lifts the organizations that did not wait in the previous round.</summary>
    public void EndRound()
    {
        // If nobody waited before, to where the last organization was when it was served.
        _lift = double.IsPositiveInfinity(_least) ? _floor : _least;
        foreach (var account in _new) account.Tokens = Math.Max(account.Tokens, _lift);
    }

    /// <summary>Charges an estimate when a call of the organization gets a slot. Returns the weighted tokens.</summary>
    public double Charge(TokenAccount account, QueuedCall call)
    {
        _floor = Math.Max(_floor, account.Tokens);
        return Add(account, call);
    }

    /// <summary>
    /// The same for a call that is served before its turn. Its organization need not wait in this round: then it is lifted like one that
    /// starts to wait, or what it had not used before would pay for the call.
    /// </summary>
    public double ChargeOutOfTurn(QueuedCall call)
    {
        ref var account = ref CollectionsMarshal.GetValueRefOrAddDefault(_accounts, call.Organization, out _);
        account ??= new TokenAccount();
        if (account.Round != _round) account.Tokens = Math.Max(account.Tokens, _lift);
        call.Account = account;
        return Add(account, call);
    }

    private double Add(TokenAccount account, QueuedCall call)
    {
        var output = Math.Min(call.MaxOutputTokens ?? double.PositiveInfinity, account.AverageOutput);
        // At least one, so that calls without known tokens take turns.
        var tokens = Math.Max(1, CostOf(call.InputTokens, output));
        account.Tokens += tokens / call.Weight;
        account.LastGrant = ++_grants;
        return tokens;
    }

    /// <summary>Replaces the estimate by what the call used with its slot.</summary>
    public static void Correct(TokenAccount account, QueuedCall call, double input, double output)
    {
        account.Tokens += (Math.Max(1, CostOf(input, output)) - call.Charged) / call.Weight;
    }

    /// <summary>Learns the output that the next call of the organization is charged for at first.</summary>
    public static void Learn(TokenAccount account, double output) =>
        account.AverageOutput = (account.AverageOutput * 0.8) + (output * 0.2);

    private static double CostOf(double input, double output) => input + (OutputWeight * output);

    // An account at or below the floor means the same as none: it would be lifted.
    private void Prune()
    {
        foreach (var (organization, account) in _accounts)
        {
            if (account.Round < _round && account.Tokens <= _floor) _accounts.Remove(organization);
        }
        if (_accounts.Count >= MaxAccounts)
        {
            foreach (var (organization, account) in _accounts)
            {
                if (account.Round < _round) _accounts.Remove(organization);
            }
        }
        // More than the maximum only if so many wait at once.
        _pruneAt = _accounts.Count >= MaxAccounts ? 2 * _accounts.Count : Math.Clamp(2 * _accounts.Count, MinPruned, MaxAccounts);
    }
}
