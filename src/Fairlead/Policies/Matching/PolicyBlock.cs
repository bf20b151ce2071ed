namespace Fairlead.Policies.Matching;

/// <summary>Why a text was stopped.</summary>
/// <param name="Rule">The rule that stopped it.</param>
/// <param name="IsUnavailable">No match: the rule's judge gave no verdict, and the rule fails closed.</param>
internal sealed record PolicyBlock(PolicyRuleReference Rule, bool IsUnavailable = false);
