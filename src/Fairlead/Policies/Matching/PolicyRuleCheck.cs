using System.Globalization;
using System.Text.RegularExpressions;
using Fairlead.StructuredOutput;

namespace Fairlead.Policies.Matching;

/// <summary>Something wrong with a rule.</summary>
/// <param name="Field">The field in the spelling of the wire (<c>max_match_length</c>, <c>words[3]</c>); empty for the rule or list itself.</param>
/// <param name="Reason">What is wrong, as a sentence without its end.</param>
/// <param name="Remedy">What to do, as a sentence.</param>
internal readonly record struct RuleProblem(string Field, string Reason, string Remedy);

/// <summary>Finds everything that is wrong with rules, before they are stored or compiled.</summary>
internal static class PolicyRuleCheck
{
    /// <summary>Maximum number of rules in a policy.</summary>
    public const int MaxRules = 100;

    /// <summary>Maximum characters of the id of a rule.</summary>
    public const int LongestId = 64;

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
    public static IReadOnlyList<RuleProblem> Check(PolicyRule rule)
    {
        var problems = new List<RuleProblem>();
        CheckId(rule.Id, problems);
        CheckMembers(rule, problems);
        switch (rule.Type)
        {
            case PolicyRuleType.Words:
                CheckWords(rule.Words, problems);
                break;
            case PolicyRuleType.Regex:
                CheckPattern(rule, problems);
                break;
            case PolicyRuleType.PersonalData:
                CheckKinds(rule.Kinds, MatchKinds.PersonalData, problems);
                break;
            case PolicyRuleType.Secrets:
                CheckKinds(rule.Kinds, MatchKinds.Secrets, problems);
                CheckEntropyLength(rule, problems);
                break;
            default:
                CheckJudge(rule, problems);
                break;
        }
        if (rule.Restore && rule.Action != PolicyAction.Redact)
            problems.Add(new("restore", "only redacted text can be restored", "Set action to redact, or remove restore."));
        return problems;
    }

    /// <summary>
    /// Returns all problems of the rules of a policy: those of each rule, with fields such as <c>rules[2].pattern</c>, ids that are used
    /// twice, and too many rules.
    /// </summary>
    public static IReadOnlyList<RuleProblem> CheckAll(IReadOnlyList<PolicyRule> rules)
    {
        if (rules.Count == 0) return [new("rules", "a policy needs a rule", "Add at least one rule.")];
        // Checking compiles patterns; more rules than allowed are not worth it.
        if (rules.Count > MaxRules) return [new("rules", Text($"there are {rules.Count} rules"), Text($"Use at most {MaxRules} rules in a policy."))];
        var problems = new List<RuleProblem>();
        var ids = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < rules.Count; i++)
        {
            var place = Text($"rules[{i}]");
            foreach (var problem in Check(rules[i]))
                problems.Add(problem with { Field = problem.Field.Length == 0 ? place : $"{place}.{problem.Field}" });
            if (!ids.Add(rules[i].Id)) problems.Add(new($"{place}.id", "another rule of the policy has the same id", "Give each rule an id of its own."));
        }
        return problems;
    }

    private static void CheckId(string id, List<RuleProblem> problems)
    {
        var isValid = id.Length is >= 1 and <= LongestId && id.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');
        if (!isValid) problems.Add(new("id", "not an id of a rule", Text($"Use 1 to {LongestId} letters, digits, dots, underscores and dashes.")));
    }

    /// <summary>Members that the type of the rule does not use would have no effect, so they are refused.</summary>
    private static void CheckMembers(PolicyRule rule, List<RuleProblem> problems)
    {
        var (type, isJudge) = (rule.Type, rule.Type is PolicyRuleType.Remote or PolicyRuleType.PromptInjection);
        Unused("words", rule.Words is not null && type != PolicyRuleType.Words, "words");
        Unused("pattern", rule.Pattern is not null && type != PolicyRuleType.Regex, "regex");
        Unused("kinds", rule.Kinds is not null && type is not (PolicyRuleType.PersonalData or PolicyRuleType.Secrets), "personal_data and secrets");
        Unused("url", rule.Url is not null && type != PolicyRuleType.Remote, "remote");
        Unused("model", rule.Model is not null && type != PolicyRuleType.Remote, "remote");
        Unused("timeout_ms", rule.TimeoutMs is not null && type != PolicyRuleType.Remote, "remote");
        Unused("on_failure", rule.OnFailure != PolicyFailure.Open && type != PolicyRuleType.Remote, "remote");
        Unused("window_characters", rule.WindowCharacters != DefaultWindow && !isJudge, "prompt_injection and remote");
        Unused("max_match_length", rule.MaxMatchLength is not null && type is not (PolicyRuleType.Regex or PolicyRuleType.Secrets), "regex and secrets");

        void Unused(string field, bool isSet, string types)
        {
            if (isSet) problems.Add(new(field, $"only rules of the type {types} have it", "Remove it, or change the type."));
        }
    }

    private static void CheckWords(IReadOnlyList<string>? words, List<RuleProblem> problems)
    {
        if (words is not { Count: > 0 })
        {
            problems.Add(new("words", "a list of words needs a word", "Add at least one word or phrase."));
            return;
        }
        if (words.Count > MaxWords) problems.Add(new("words", Text($"there are {words.Count} words"), Text($"Use at most {MaxWords} words in a rule.")));
        if (words.Sum(static word => (long)(word?.Length ?? 0)) > MaxWordCharacters)
            problems.Add(new("words", "the words are too long together", Text($"Use at most {MaxWordCharacters} characters in a rule.")));
        if (problems.Count > 0) return;
        for (var i = 0; i < words.Count; i++)
        {
            var word = words[i] ?? "";
            if (word.Length > LongestWord)
                problems.Add(new(Text($"words[{i}]"), "the word is too long", Text($"Use at most {LongestWord} characters in a word or phrase.")));
            else if (IsEmpty(word))
                problems.Add(new(Text($"words[{i}]"), "the word has no visible characters", "Remove it."));
            else if (word.AsSpan().Trim().Trim('*').Contains('*'))
                problems.Add(new(Text($"words[{i}]"), "a * is allowed at the start and the end only", "Move it, or write a rule of the type regex."));
            // A list of wrong words need not be reported in full.
            if (problems.Count == 20) return;
        }
    }

    private static bool IsEmpty(string word) => FoldedText.Fold(word).AsSpan().Trim().Trim('*').Trim().IsEmpty;

    private static void CheckPattern(PolicyRule rule, List<RuleProblem> problems)
    {
        if (rule.MaxMatchLength is not { } longest)
            problems.Add(new("max_match_length", "a regular expression needs it", "Set it to the length of the longest match in characters."));
        else if (longest is < 1 or > LongestMatch)
            problems.Add(new("max_match_length", Text($"{longest} is out of range"), Text($"Use 1 to {LongestMatch} characters.")));
        if (PatternProblem(rule.Pattern) is { } problem) problems.Add(problem);
    }

    private static RuleProblem? PatternProblem(string? pattern)
    {
        const string Field = "pattern";
        if (string.IsNullOrEmpty(pattern)) return new(Field, "the pattern is missing", "Add a regular expression.");
        if (pattern.Length > LongestPattern) return new(Field, "the pattern is too long", Text($"Use at most {LongestPattern} characters."));
        var size = SchemaPattern.SizeOf(pattern);
        if (size == SchemaPattern.Unknown) return new(Field, "the option x is not supported", "Remove the option, white space and comments.");
        if (size > SchemaPattern.MaxSize) return new(Field, "the pattern is too large", Text($"Use smaller repetition counts: at most {SchemaPattern.MaxSize} states."));
        try
        {
            if (new RegexMatcher(pattern, 1).MatchesNothing)
                return new(Field, "the pattern matches a text without characters", "Write a pattern that matches at least one character.");
            return null;
        }
        catch (RegexParseException exception)
        {
            return new(Field, Text($"not a regular expression: {exception.Error} at character {exception.Offset}"), "Correct the pattern.");
        }
        catch (Exception exception) when (exception is NotSupportedException or ArgumentException)
        {
            return new(Field, "the pattern cannot be matched in linear time", "Remove lookarounds, backreferences, atomic groups, conditionals and \\G.");
        }
    }

    private static void CheckKinds(IReadOnlyList<string>? kinds, IReadOnlyList<string> known, List<RuleProblem> problems)
    {
        for (var i = 0; i < (kinds?.Count ?? 0) && problems.Count < 20; i++)
        {
            if (!known.Contains(kinds![i], StringComparer.Ordinal))
                problems.Add(new(Text($"kinds[{i}]"), "not a kind of this type", $"Use {string.Join(", ", known)}."));
            else if (kinds.Take(i).Contains(kinds[i], StringComparer.Ordinal))
                problems.Add(new(Text($"kinds[{i}]"), "the kind is there twice", "Remove one."));
        }
    }

    private static void CheckEntropyLength(PolicyRule rule, List<RuleProblem> problems)
    {
        if (rule.MaxMatchLength is not { } longest) return;
        if (longest is < EntropyMatcher.Shortest or > LongestMatch)
            problems.Add(new("max_match_length", Text($"{longest} is out of range"), Text($"Use {EntropyMatcher.Shortest} to {LongestMatch} characters.")));
        else if (rule.Kinds is { Count: > 0 } kinds && !kinds.Contains(MatchKinds.HighEntropy, StringComparer.Ordinal))
            problems.Add(new("max_match_length", "only high_entropy has it", "Remove it, or add high_entropy to kinds."));
    }

    private static void CheckJudge(PolicyRule rule, List<RuleProblem> problems)
    {
        if (rule.Action == PolicyAction.Redact)
            problems.Add(new("action", "the rule judges a text as a whole, so it cannot be redacted", "Use block or flag."));
        if (rule.WindowCharacters != 0 && rule.WindowCharacters is < SmallestWindow or > LargestWindow)
            problems.Add(new("window_characters", Text($"{rule.WindowCharacters} is out of range"), Text($"Use 0 or {SmallestWindow} to {LargestWindow}.")));
        if (rule.WindowCharacters == 0 && rule.Direction == PolicyDirection.Output)
            problems.Add(new("window_characters", "without a window, the rule never looks at output", "Set a window, or set direction to input."));
        if (rule.Type != PolicyRuleType.Remote) return;
        if (rule.Url is null == rule.Model is null)
            problems.Add(new(rule.Url is null ? "url" : "model", "a remote rule has either url or model", "Set exactly one of them."));
        if (rule.TimeoutMs is < 1 or > LongestTimeout)
            problems.Add(new("timeout_ms", Text($"{rule.TimeoutMs} is out of range"), Text($"Use 1 to {LongestTimeout} milliseconds.")));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
