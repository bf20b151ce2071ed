namespace Fairlead.Policies.Matching;

/// <summary>A matcher on behalf of a rule.</summary>
/// <param name="Matcher">Finds the matches.</param>
/// <param name="Rule">The rule; null for text that only looks like a placeholder.</param>
/// <param name="Action">What happens to a match.</param>
/// <param name="Label">Label of placeholders.</param>
/// <param name="IsRestorable">Whether readers get back what is redacted.</param>
internal sealed record MatchSlot(TextMatcher Matcher, PolicyRuleReference? Rule, PolicyAction Action, string Label, bool IsRestorable);

/// <summary>The compiled rules of one direction. Immutable and thread-safe.</summary>
internal sealed class DirectionRules
{
    private readonly Dictionary<int, DirectionRules> _views = [];

    public DirectionRules(PolicyDirection direction, IReadOnlyList<PolicyRuleReference> rules, IReadOnlyDictionary<PolicyRuleReference, MatchSlot[]> slots,
        bool hasRestore)
    {
        Direction = direction;
        var applied = rules.Where(rule => rule.Rule.Direction == direction || rule.Rule.Direction == PolicyDirection.Both).ToList();
        var local = applied.Where(slots.ContainsKey).SelectMany(rule => slots[rule]).ToList();
        Holding = [.. local.Where(slot => slot.Action != PolicyAction.Flag)];
        Flagging = [.. local.Where(slot => slot.Action == PolicyAction.Flag)];
        // A restored match must not give back what another rule blocks or redacts for good.
        WaitsForOverlaps = Holding.Any(slot => slot.IsRestorable) && Holding.Any(slot => !slot.IsRestorable);
        if (hasRestore)
            Holding = [.. Holding, new MatchSlot(new PlaceholderMatcher(), null, PolicyAction.Redact, PlaceholderText.Redacted, IsRestorable: true)];
        Judges = [.. applied.Where(rule => !slots.ContainsKey(rule) && (direction == PolicyDirection.Input || rule.Rule.WindowCharacters > 0))];
        NeedsJudge = Judges.Any(rule => rule.Rule.Type == PolicyRuleType.Remote);
        foreach (var level in Judges.Select(judge => judge.Level).Distinct())
        {
            if (!Holding.Any(slot => slot.Rule is { Action: PolicyAction.Redact } redacting && redacting.Level > level)) continue;
            _views[level] = new DirectionRules(
                direction, [.. rules.Where(rule => rule.Level <= level && rule.Action == PolicyAction.Redact && slots.ContainsKey(rule))], slots, false);
        }
        EarlyJudges = [.. Judges.Where(rule => _views.ContainsKey(rule.Level))];
        LateJudges = [.. Judges.Where(rule => !_views.ContainsKey(rule.Level))];
        IsEmpty = applied.Count == 0 || (local.Count == 0 && Judges.Count == 0);
        var held = Holding.Select(slot => slot.Matcher.MaxHeld).DefaultIfEmpty().Max();
        MaxHeld = (WaitsForOverlaps ? 2 * held : held) + EarlyJudges.Select(rule => rule.Rule.WindowCharacters).DefaultIfEmpty().Max()
            + LateJudges.Select(rule => rule.Rule.WindowCharacters).DefaultIfEmpty().Max();
    }

    public PolicyDirection Direction { get; }

    /// <summary>Matchers of rules that block or redact: text waits for them.</summary>
    public MatchSlot[] Holding { get; }

    /// <summary>Matchers of rules that only count.</summary>
    public MatchSlot[] Flagging { get; }

    /// <summary>Rules that judge a text or window as a whole, in order.</summary>
    public IReadOnlyList<PolicyRuleReference> Judges { get; }

    /// <summary>
    /// Those of <see cref="Judges"/> that judge before the local rules: some of these belong to a smaller owner, who must not hide text from
    /// a judge by redacting it.
    /// </summary>
    public IReadOnlyList<PolicyRuleReference> EarlyJudges { get; }

    /// <summary>The others, which judge what the local rules left.</summary>
    public IReadOnlyList<PolicyRuleReference> LateJudges { get; }

    /// <summary>The text that an early judge sees: only rules of its own level and of those above have redacted it.</summary>
    public string ViewOf(PolicyRuleReference judge, string text, ChannelKind kind = ChannelKind.Text)
    {
        if (!_views.TryGetValue(judge.Level, out var view) || view.Holding.Length == 0) return text;
        using var check = new TextCheck(view, new PolicyTally(), new Placeholders());
        return check.Check(text, kind).NewText ?? text;
    }

    /// <summary>Whether one of <see cref="Judges"/> is remote.</summary>
    public bool NeedsJudge { get; }

    /// <summary>Whether a restorable match waits until all matches that overlap it are known.</summary>
    public bool WaitsForOverlaps { get; }

    public bool IsEmpty { get; }

    /// <summary>Maximum characters that are held back, invisible ones inside of words not counted.</summary>
    public int MaxHeld { get; }
}
