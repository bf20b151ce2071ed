namespace Fairlead.Policies.Matching;

/// <summary>Something wrong with a rule.</summary>
/// <param name="Field">The field in the spelling of the wire (<c>max_match_length</c>, <c>words[3]</c>); empty for the rule or list itself.</param>
/// <param name="Reason">What is wrong, as a sentence without its end.</param>
/// <param name="Remedy">What to do, as a sentence.</param>
internal readonly record struct RuleProblem(string Field, string Reason, string Remedy);

/// <summary>Finds everything that is wrong with rules, before they are stored or compiled.</summary>
internal static partial class PolicyRuleCheck
{
    /// <summary>Maximum number of rules in a policy.</summary>
    public const int MaxRules = 100;

    /// <summary>Maximum number of words in a rule.</summary>
    public const int MaxWords = 10_000;

    /// <summary>Maximum characters of one word or phrase.</summary>
    public const int LongestWord = 200;

    /// <summary>Maximum characters of all words of a rule together.</summary>
    public const int MaxWordCharacters = 200_000;

    /// <summary>Maximum characters of a pattern.</summary>
    public const int LongestPattern = 1_000;

    /// <summary>Maximum of <see cref="PolicyRule.MaxMatchLength"/>.</summary>
    public const int LongestMatch = 1_000;

    /// <summary><see cref="PolicyRule.MaxMatchLength"/> of high-entropy secrets that name none.</summary>
    public const int DefaultEntropyLength = 256;

    /// <summary>Default of <see cref="PolicyRule.WindowCharacters"/>.</summary>
    public const int DefaultWindow = 1_000;

    /// <summary>Minimum of <see cref="PolicyRule.WindowCharacters"/>, apart from 0.</summary>
    public const int SmallestWindow = 100;

    /// <summary>Maximum of <see cref="PolicyRule.WindowCharacters"/>.</summary>
    public const int LargestWindow = 20_000;

    /// <summary>Maximum of <see cref="PolicyRule.TimeoutMs"/>.</summary>
    public const int LongestTimeout = 60_000;

    /// <summary>Returns all problems of one rule. Compiles its pattern, so it is not for the path of a call.</summary>
    public static IReadOnlyList<RuleProblem> Check(PolicyRule rule) => throw new NotImplementedException();

    /// <summary>
    /// Returns all problems of the rules of a policy: those of each rule, with fields such as <c>rules[2].pattern</c>, ids that are used
    /// twice, and too many rules.
    /// </summary>
    public static IReadOnlyList<RuleProblem> CheckAll(IReadOnlyList<PolicyRule> rules) => throw new NotImplementedException();
}
