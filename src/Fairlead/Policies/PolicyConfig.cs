using Fairlead.Configuration;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies;

/// <summary>A content policy of the configuration file.</summary>
internal sealed record PolicyConfig
{
    private static readonly ConfigObjectType<PolicyRule> RuleKeys = new(
        () => new PolicyRule { Id = "", Type = PolicyRuleType.Words, Action = PolicyAction.Block }, [],
        new("id", ConfigTypes.Text, r => r.Id, (r, v) => r with { Id = (string)v }, "Identifies the rule in its policy.")
        {
            Required = true,
        },
        new("type", new ConfigChoice(PolicyWords.Types), r => PolicyWords.Of(r.Type),
            (r, v) => r with { Type = PolicyWords.TypeOf((string)v) }, "What the rule looks for.") { Required = true },
        new("action", new ConfigChoice(PolicyWords.Actions), r => PolicyWords.Of(r.Action),
            (r, v) => r with { Action = PolicyWords.ActionOf((string)v) }, "What happens to a match.") { Required = true },
        new("direction", new ConfigChoice(PolicyWords.Directions), r => PolicyWords.Of(r.Direction),
            (r, v) => r with { Direction = PolicyWords.DirectionOf((string)v) }, "Which texts the rule looks at."),
        new("words", ConfigTypes.Texts, r => r.Words, (r, v) => r with { Words = (IReadOnlyList<string>)v },
            "Words and phrases, for `words`."),
        new("pattern", ConfigTypes.Text, r => r.Pattern, (r, v) => r with { Pattern = (string)v },
            "The regular expression, for `regex`, without look-around and back references."),
        new("kinds", ConfigTypes.Texts, r => r.Kinds, (r, v) => r with { Kinds = (IReadOnlyList<string>)v },
            "Kinds of personal data or of secrets. Default: all of them."),
        new("url", ConfigTypes.Text, r => r.Url, (r, v) => r with { Url = (string)v },
            "Address of a moderation endpoint in OpenAI's form, for `remote`."),
        new("model", ConfigTypes.Text, r => r.Model, (r, v) => r with { Model = (string)v },
            "A model of this installation that judges, for `remote`."),
        new("maxMatchLength", new ConfigInteger(1, PolicyRuleCheck.LongestMatch), r => r.MaxMatchLength,
            (r, v) => r with { MaxMatchLength = (int)(long)v }, "Longest match in characters; required for `regex`.")
        {
            Alias = "max_match_length",
        },
        new("restore", ConfigTypes.Switch, r => r.Restore, (r, v) => r with { Restore = (bool)v },
            "Whether the client gets back what `redact` replaced."),
        new("timeoutMs", new ConfigInteger(1, PolicyRuleCheck.LongestTimeout), r => r.TimeoutMs,
            (r, v) => r with { TimeoutMs = (int)(long)v }, "Milliseconds that a judge may take, for `remote`. Default 2000.")
        {
            Alias = "timeout_ms",
        },
        new("onFailure", new ConfigChoice(PolicyWords.Failures), r => PolicyWords.Of(r.OnFailure),
            (r, v) => r with { OnFailure = PolicyWords.FailureOf((string)v) },
            "What follows when a judge gives no verdict: the text passes (`open`) or the call ends (`closed`).")
        {
            Alias = "on_failure",
        },
        new("windowCharacters", new ConfigInteger(0, PolicyRuleCheck.LargestWindow), r => r.WindowCharacters,
            (r, v) => r with { WindowCharacters = (int)(long)v },
            "Characters of output that `prompt_injection` and `remote` judge at a time; 0 to check input only.")
        {
            Alias = "window_characters",
        });

    /// <summary>Its keys in the configuration file.</summary>
    internal static readonly ConfigObjectType<PolicyConfig> Keys = new(() => new PolicyConfig(), [],
        new("organizationId", ConfigTypes.Text, p => p.Owner.OrganizationId,
            (p, v) => p with { Owner = p.Owner with { OrganizationId = (string)v } },
            "The organization whose calls it applies to. Without an owner, it applies to all calls.") { Alias = "organization_id" },
        new("projectId", ConfigTypes.Text, p => p.Owner.ProjectId,
            (p, v) => p with { Owner = p.Owner with { ProjectId = (string)v } },
            "The project whose calls it applies to.") { Alias = "project_id" },
        new("keyId", ConfigTypes.Text, p => p.Owner.KeyId,
            (p, v) => p with { Owner = p.Owner with { KeyId = (string)v } },
            "The key whose calls it applies to.") { Alias = "key_id" },
        new("rules", new ConfigListType<PolicyRule>(RuleKeys), p => p.Rules,
            (p, v) => p with { Rules = (IReadOnlyList<PolicyRule>)v }, "Its rules in order.") { Required = true });

    /// <summary>Whose calls it applies to. Default all.</summary>
    public PolicyOwner Owner { get; init; }

    /// <summary>Its rules in order.</summary>
    public IReadOnlyList<PolicyRule> Rules { get; init; } = [];
}
