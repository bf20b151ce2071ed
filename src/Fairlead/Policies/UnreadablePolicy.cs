using Fairlead.Policies.Matching;
using Fairlead.Policies.Resources;

namespace Fairlead.Policies;

/// <summary>What stands for a stored policy that cannot be read: a rule that blocks every text.</summary>
internal static class UnreadablePolicy
{
    public static PolicyDefinition Of(PolicyRow row) => new(
        row.Id, row.Name, (int)row.Version,
        [
            new PolicyRule
            {
                Id = "unreadable",
                Type = PolicyRuleType.Regex,
                Action = PolicyAction.Block,
                Pattern = @"[\s\S]",
                MaxMatchLength = 1,
            },
        ]);
}
