using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Fairlead.Policies.Matching;

/// <summary>The policies of a call, ready to match: those of the organization first, then project, then key. Immutable and thread-safe.</summary>
internal sealed class CompiledPolicies
{
    private readonly DirectionRules _input;
    private readonly DirectionRules _output;

    private CompiledPolicies(IReadOnlyList<PolicyRuleReference> rules, IReadOnlyDictionary<PolicyRuleReference, MatchSlot[]> slots, string identity)
    {
        Rules = rules;
        Identity = identity;
        HasRestore = rules.Any(rule => rule.Rule.Restore);
        _input = new DirectionRules(PolicyDirection.Input, rules, slots, HasRestore);
        _output = new DirectionRules(PolicyDirection.Output, rules, slots, HasRestore);
    }

    /// <summary>No policies.</summary>
    public static CompiledPolicies Empty { get; } = new([], new Dictionary<PolicyRuleReference, MatchSlot[]>(), "");

    /// <summary>Whether some rule looks at input.</summary>
    public bool HasInput => !_input.IsEmpty;

    /// <summary>Whether some rule looks at output, so that streams need an <see cref="OutputGuard"/>.</summary>
    public bool HasOutput => !_output.IsEmpty;

    /// <summary>Whether some rule of the input needs an <see cref="IWindowJudge"/>.</summary>
    public bool InputNeedsJudge => _input.NeedsJudge;

    /// <summary>Whether some rule of the output needs an <see cref="IWindowJudge"/>.</summary>
    public bool OutputNeedsJudge => _output.NeedsJudge;

    /// <summary>Whether some rule restores what it redacts, so that readers need a <see cref="PlaceholderRestorer"/>.</summary>
    public bool HasRestore { get; }

    /// <summary>
    /// Maximum characters that an <see cref="OutputGuard"/> holds back after a push. Invisible characters inside of a match are not counted,
    /// nor are the escapes of JSON, nor half of a surrogate pair.
    /// </summary>
    public int MaxHeldCharacters => _output.MaxHeld;

    /// <summary>
    /// SHA-256 in hexadecimal of everything that decides what these policies do: ids, versions and all members of the rules, in order. Empty
    /// for no policies. Equal after a restart and on every node.
    /// </summary>
    public string Identity { get; }

    /// <summary>All rules in order.</summary>
    public IReadOnlyList<PolicyRuleReference> Rules { get; }

    /// <summary>Compiles policies. The earlier one comes first in results; all rules look at the original text, so none hides text from another.</summary>
    /// <exception cref="ArgumentException">A rule has a problem that <see cref="PolicyRuleCheck"/> reports.</exception>
    public static CompiledPolicies Compile(IReadOnlyList<PolicyDefinition> policies)
    {
        var rules = new List<PolicyRuleReference>();
        var slots = new Dictionary<PolicyRuleReference, MatchSlot[]>();
        foreach (var policy in policies)
        {
            foreach (var rule in policy.Rules)
            {
                var reference = new PolicyRuleReference(policy, rule, rules.Count);
                rules.Add(reference);
                if (SlotsOf(reference) is { Length: > 0 } found) slots.Add(reference, found);
            }
        }
        return rules.Count == 0 ? Empty : new CompiledPolicies(rules, slots, IdentityOf(policies));
    }

    /// <summary>Opens the check of the input texts of one call.</summary>
    public TextCheck CheckInput(PolicyTally tally, Placeholders placeholders) => new(_input, tally, placeholders);

    /// <summary>Opens the guard of one channel of an output.</summary>
    /// <param name="kind">How the text of the channel is read.</param>
    /// <param name="tally">Counts of the call.</param>
    /// <param name="placeholders">Placeholders of the call, which its input has already filled.</param>
    /// <param name="judge">Required if <see cref="OutputNeedsJudge"/>.</param>
    public OutputGuard GuardOutput(ChannelKind kind, PolicyTally tally, Placeholders placeholders, IWindowJudge? judge = null) =>
        new(_output, kind, tally, placeholders, judge);

    private static MatchSlot[] SlotsOf(PolicyRuleReference reference)
    {
        var rule = reference.Rule;
        switch (rule.Type)
        {
            case PolicyRuleType.Words:
                return [Slot(new WordMatcher(rule.Words ?? []), PlaceholderText.Redacted)];
            case PolicyRuleType.Regex:
                var longest = rule.MaxMatchLength ?? throw new ArgumentException("A regular expression needs a maximum length.", nameof(reference));
                return [Slot(new RegexMatcher(rule.Pattern ?? "", longest), PlaceholderText.Redacted)];
            case PolicyRuleType.PersonalData:
                return Kinds(MatchKinds.PersonalData);
            case PolicyRuleType.Secrets:
                return Kinds(MatchKinds.Secrets);
            default:
                return [];
        }

        MatchSlot Slot(TextMatcher matcher, string label) => new(matcher, reference, rule.Action, label, rule.Restore);

        MatchSlot[] Kinds(IReadOnlyList<string> all)
        {
            var entropyLength = rule.MaxMatchLength ?? PolicyRuleCheck.DefaultEntropyLength;
            var kinds = rule.Kinds is { Count: > 0 } named ? all.Where(kind => named.Contains(kind, StringComparer.Ordinal)) : all;
            return [.. kinds.SelectMany(kind => MatchKinds.MatchersOf(kind, entropyLength) is var (matchers, label)
                ? matchers.Select(matcher => Slot(matcher, label)) : [])];
        }
    }

    /// <summary>The same for one policy, without compiling it.</summary>
    public static string IdentityOf(PolicyDefinition policy) => IdentityOf([policy]);

    private static string IdentityOf(IReadOnlyList<PolicyDefinition> policies)
    {
        var text = new StringBuilder();
        foreach (var policy in policies)
        {
            Add(policy.Id);
            Add(policy.Version);
            Add(policy.Level);
            Add(policy.Rules.Count);
            foreach (var rule in policy.Rules)
            {
                Add(rule.Id);
                Add((int)rule.Type);
                Add((int)rule.Action);
                Add((int)rule.Direction);
                AddAll(rule.Words);
                Add(rule.Pattern);
                AddAll(rule.Kinds);
                Add(rule.Url);
                Add(rule.Model);
                Add(rule.MaxMatchLength);
                Add(rule.Restore ? 1 : 0);
                Add(rule.TimeoutMs);
                Add((int)rule.OnFailure);
                Add(rule.WindowCharacters);
            }
        }
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));

        // Each value ends, and texts have their length in front, so different policies have different texts.
        void Add(object? value)
        {
            if (value is string { Length: var length }) text.Append(CultureInfo.InvariantCulture, $"{length}:");
            text.Append(CultureInfo.InvariantCulture, $"{value ?? "null"};");
        }

        void AddAll(IReadOnlyList<string>? values)
        {
            Add(values?.Count);
            foreach (var value in values ?? []) Add(value);
        }
    }
}
