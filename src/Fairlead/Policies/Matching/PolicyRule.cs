namespace Fairlead.Policies.Matching;

/// <summary>What a rule looks for.</summary>
internal enum PolicyRuleType
{
    /// <summary>Words and phrases of a list.</summary>
    Words,

    /// <summary>A regular expression of the non-backtracking engine.</summary>
    Regex,

    /// <summary>Personal data of the listed kinds.</summary>
    PersonalData,

    /// <summary>Secrets of the listed kinds.</summary>
    Secrets,

    /// <summary>Local heuristics for prompt injection; they judge a text or a window as a whole.</summary>
    PromptInjection,

    /// <summary>A moderation endpoint or a classifier model, which judges a text or a window as a whole.</summary>
    Remote,
}

/// <summary>What happens to a match.</summary>
internal enum PolicyAction
{
    /// <summary>The call ends; no character of the match passes.</summary>
    Block,

    /// <summary>The match is replaced by a placeholder.</summary>
    Redact,

    /// <summary>The match passes and is counted.</summary>
    Flag,
}

/// <summary>Which texts a rule looks at.</summary>
internal enum PolicyDirection
{
    /// <summary>Requests.</summary>
    Input,

    /// <summary>Responses.</summary>
    Output,

    /// <summary>Requests and responses.</summary>
    Both,
}

/// <summary>What counts when a judge gives no verdict.</summary>
internal enum PolicyFailure
{
    /// <summary>The text passes.</summary>
    Open,

    /// <summary>The call ends, whatever the rule's action is.</summary>
    Closed,
}

/// <summary>
/// One rule of a policy, as written. <see cref="PolicyRuleCheck"/> finds what is wrong with it; only rules without problems can be compiled.
/// Members that its type does not use are null or have their default.
/// </summary>
internal sealed record PolicyRule
{
    /// <summary>Identifies the rule in its policy. 1 to 64 characters: letters, digits, <c>.</c>, <c>_</c>, <c>-</c>.</summary>
    public required string Id { get; init; }

    public required PolicyRuleType Type { get; init; }

    public required PolicyAction Action { get; init; }

    /// <summary>Default <see cref="PolicyDirection.Both"/>.</summary>
    public PolicyDirection Direction { get; init; } = PolicyDirection.Both;

    /// <summary>
    /// Words and phrases, for <see cref="PolicyRuleType.Words"/>. A <c>*</c> at the start or the end of one lets it match inside of a word.
    /// </summary>
    public IReadOnlyList<string>? Words { get; init; }

    /// <summary>The regular expression, for <see cref="PolicyRuleType.Regex"/>.</summary>
    public string? Pattern { get; init; }

    /// <summary>
    /// Kinds of <see cref="MatchKinds"/>, for <see cref="PolicyRuleType.PersonalData"/> and <see cref="PolicyRuleType.Secrets"/>. Null and
    /// empty mean all of them.
    /// </summary>
    public IReadOnlyList<string>? Kinds { get; init; }

    /// <summary>Address of a moderation endpoint, for <see cref="PolicyRuleType.Remote"/>. The engine does not check it.</summary>
    public string? Url { get; init; }

    /// <summary>Name of a classifier model, for <see cref="PolicyRuleType.Remote"/>. The engine does not check it.</summary>
    public string? Model { get; init; }

    /// <summary>
    /// Longest match in UTF-16 characters: required for <see cref="PolicyRuleType.Regex"/>, optional for high-entropy secrets (default
    /// <see cref="PolicyRuleCheck.DefaultEntropyLength"/>). 1 to <see cref="PolicyRuleCheck.LongestMatch"/>.
    /// </summary>
    public int? MaxMatchLength { get; init; }

    /// <summary>Whether readers get the redacted text back. Only with <see cref="PolicyAction.Redact"/>. Default false.</summary>
    public bool Restore { get; init; }

    /// <summary>Milliseconds that a judge may take, for <see cref="PolicyRuleType.Remote"/>. 1 to 60,000; null is the default of the caller.</summary>
    public int? TimeoutMs { get; init; }

    /// <summary>For <see cref="PolicyRuleType.Remote"/>. Default <see cref="PolicyFailure.Open"/>.</summary>
    public PolicyFailure OnFailure { get; init; } = PolicyFailure.Open;

    /// <summary>
    /// Characters of a window of output, for rules that judge a text as a whole. Windows overlap by a quarter. 0: the rule checks input only.
    /// 100 to <see cref="PolicyRuleCheck.LargestWindow"/>. Default 1,000.
    /// </summary>
    public int WindowCharacters { get; init; } = PolicyRuleCheck.DefaultWindow;
}

/// <summary>A policy: rules in order.</summary>
/// <param name="Id">Identifies the policy.</param>
/// <param name="Name">Its name, for people.</param>
/// <param name="Version">Its version, from 1.</param>
/// <param name="Rules">Its rules, the most important first.</param>
internal sealed record PolicyDefinition(string Id, string Name, int Version, IReadOnlyList<PolicyRule> Rules)
{
    /// <summary>Whose it is: 0 for the installation, larger for smaller owners. A judge sees what larger levels redact.</summary>
    public int Level { get; init; }
}

/// <summary>A compiled rule of a policy: what results, judges and counts refer to. Compared by reference.</summary>
internal sealed class PolicyRuleReference(PolicyDefinition policy, PolicyRule rule, int order)
{
    public string PolicyId => policy.Id;

    public string PolicyName => policy.Name;

    public int Version => policy.Version;

    public string RuleId => rule.Id;

    /// <summary>The level of its policy.</summary>
    public int Level => policy.Level;

    public PolicyAction Action => rule.Action;

    /// <summary>The rule as written.</summary>
    public PolicyRule Rule => rule;

    /// <summary>Position among all compiled rules, from 0.</summary>
    public int Order => order;
}
