namespace Fairlead.Scheduling;

/// <summary>
/// Decides which of the calls that wait for one deployment is next, of any model: 1. a call that had a slot before; 2. the class, by its
/// rank and ageing; 3. in that class the organization with the least virtual tokens, 4. among equals the one that was served longest ago,
/// 5. its oldest call. Not thread-safe.
/// </summary>
internal sealed class FairQueue
{
    private const int NobodyWaits = int.MaxValue;

    private readonly List<QueueLane> _lanes = [];
    private readonly VirtualTokens[] _tokens = [new(), new(), new()];
    private readonly List<QueuedCall> _heads = [];

    // By class: whether the next slot of those that it shares with lower classes goes to a lower one.
    private readonly bool[] _lowerIsNext = [true, true, true];

    // The classes, as bits, whose turn ends when the call that Next returned is taken.
    private int _turns;

    /// <summary>The lanes of calls that may use the deployment.</summary>
    public IReadOnlyList<QueueLane> Lanes => _lanes;

    public void Add(QueueLane lane) => _lanes.Add(lane);

    public void Remove(QueueLane lane) => _lanes.Remove(lane);

    /// <summary>
    /// The call that gets the next slot, or null if none waits. The caller takes it with <see cref="Take"/>, or leaves it: then the turns of
    /// the classes stay as they are.
    /// </summary>
    /// <param name="now">Timestamp.</param>
    public QueuedCall? Next(long now)
    {
        _turns = 0;

        // 1.
        QueuedCall? returning = null;
        foreach (var lane in _lanes)
        {
            if (lane.Returning.First is not { } first) continue;
            if (returning is null || first.Value.Sequence < returning.Sequence) returning = first.Value;
        }
        if (returning is not null) return returning;

        // 2.
        var rank = ClassOf(now);
        if (rank < 0) return null;

        // Calls behind the first of a line are younger.
        _heads.Clear();
        foreach (var lane in _lanes)
        {
            foreach (var line in lane.LinesOf(rank).Values) _heads.Add(line.Calls.First!.Value);
        }
        var tokens = _tokens[rank];
        tokens.StartRound();
        foreach (var head in _heads) head.Account = tokens.Present(head.Organization);
        tokens.EndRound();
        QueuedCall? best = null;
        foreach (var head in _heads)
        {
            if (best is null || Precedes(head, best)) best = head;
        }
        return best;
    }

    /// <summary>Charges a call that got a slot.</summary>
    public void Take(QueuedCall call)
    {
        for (var rank = 0; rank < _lowerIsNext.Length; rank++) _lowerIsNext[rank] ^= (_turns & (1 << rank)) != 0;
        _turns = 0;
        var tokens = _tokens[call.Class];
        call.Charged = call.IsReturning ? tokens.ChargeOutOfTurn(call) : tokens.Charge(call.Account!, call);
    }

    /// <summary>
    /// The rank of the class that is next, or -1. A class counts as high as the highest level of its calls. All classes down to the lowest
    /// one that counts as high as any share the slots: each gets every second one that the classes above it leave. Without aged calls that
    /// is the highest class alone.
    /// </summary>
    private int ClassOf(long now)
    {
        Span<int> levels = [NobodyWaits, NobodyWaits, NobodyWaits];
        foreach (var lane in _lanes)
        {
            for (var rank = 0; rank < levels.Length; rank++)
            {
                foreach (var line in lane.LinesOf(rank).Values)
                {
                    levels[rank] = Math.Min(levels[rank], lane.LevelOf(line.Calls.First!.Value, now));
                }
            }
        }
        var highest = Math.Min(levels[0], Math.Min(levels[1], levels[2]));
        if (highest == NobodyWaits) return -1;
        var lowest = levels.LastIndexOf(highest);
        for (var rank = 0; rank < lowest; rank++)
        {
            if (levels[rank] == NobodyWaits) continue;
            _turns |= 1 << rank;
            if (!_lowerIsNext[rank]) return rank;
        }
        return lowest;
    }

    // 3. to 5.
    private static bool Precedes(QueuedCall call, QueuedCall other)
    {
        var (account, theirs) = (call.Account!, other.Account!);
        if (!ReferenceEquals(account, theirs))
        {
            if (account.Tokens != theirs.Tokens) return account.Tokens < theirs.Tokens;
            if (account.LastGrant != theirs.LastGrant) return account.LastGrant < theirs.LastGrant;
        }
        return call.Sequence < other.Sequence;
    }
}
