using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Checking;

/// <summary>What the policies met in a request that is stored, so that its run need not check it again under the same rules.</summary>
/// <param name="Rules">Identity of the rules.</param>
/// <param name="Counts">How often each rule matched, by its position among them.</param>
internal sealed record CheckedInput(string Rules, IReadOnlyList<CheckedCount> Counts)
{
    /// <summary>Of a call whose request was checked; null for others.</summary>
    public static CheckedInput? Of(CallPolicy? policy) => policy is not { IsInputChecked: true } ? null : new(
        policy.Rules.Identity,
        [
            .. policy.Tally.Counts().Where(count => count.Direction == PolicyDirection.Input)
                .Select(count => new CheckedCount(count.Rule.Order, count.Count)),
        ]);

    /// <summary>Adds the counts to the policy of the run. False if other rules are in force now.</summary>
    public bool TryApply(CallPolicy policy)
    {
        if (Rules != policy.Rules.Identity) return false;
        var rules = policy.Rules.Rules;
        foreach (var (order, count) in Counts)
        {
            if (order >= 0 && order < rules.Count) policy.Tally.Add(rules[order], PolicyDirection.Input, count);
        }
        return policy.IsInputChecked = true;
    }
}

/// <summary>How often a rule matched.</summary>
/// <param name="Order">Position of the rule.</param>
/// <param name="Count">Number of matches.</param>
internal sealed record CheckedCount(int Order, int Count);
