namespace Fairlead.Policies.Matching;

/// <summary>How often a rule matched in one direction of a call.</summary>
/// <param name="Rule">The rule.</param>
/// <param name="Direction"><see cref="PolicyDirection.Input"/> or <see cref="PolicyDirection.Output"/>.</param>
/// <param name="Count">Number of matches, or of windows for rules that judge windows.</param>
internal readonly record struct PolicyCount(PolicyRuleReference Rule, PolicyDirection Direction, int Count);

/// <summary>What the rules met in one call: rules and numbers, never text. Thread-safe.</summary>
internal sealed class PolicyTally
{
    private readonly Lock _gate = new();
    private readonly List<PolicyCount> _counts = [];

    public bool IsEmpty
    {
        get
        {
            lock (_gate) return _counts.Count == 0;
        }
    }

    /// <summary>Adds matches of a rule.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="direction">Input or output.</param>
    /// <param name="count">Number of matches to add.</param>
    public void Add(PolicyRuleReference rule, PolicyDirection direction, int count = 1)
    {
        lock (_gate)
        {
            for (var i = 0; i < _counts.Count; i++)
            {
                if (_counts[i].Rule != rule || _counts[i].Direction != direction) continue;
                _counts[i] = _counts[i] with { Count = _counts[i].Count + count };
                return;
            }
            _counts.Add(new PolicyCount(rule, direction, count));
        }
    }

    /// <summary>Returns the counts so far: input first, then in the order of the rules.</summary>
    public IReadOnlyList<PolicyCount> Counts()
    {
        lock (_gate) return [.. _counts.OrderBy(count => count.Direction).ThenBy(count => count.Rule.Order)];
    }
}
