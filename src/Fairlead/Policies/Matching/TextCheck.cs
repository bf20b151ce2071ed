using System.Text;

namespace Fairlead.Policies.Matching;

/// <summary>What a check of an input text resulted in.</summary>
/// <param name="Block">Set if the call must end.</param>
/// <param name="NewText">The text with placeholders; null if it is unchanged or blocked.</param>
/// <param name="RedactedBy">The first rule that redacted something; null if none did.</param>
internal readonly record struct TextCheckResult(PolicyBlock? Block, string? NewText, PolicyRuleReference? RedactedBy = null)
{
    public bool IsUnchanged => Block is null && NewText is null;
}

/// <summary>
/// Checks the input texts of one call, one after the other. Remote rules judge all texts of the call together at the end, so that a request
/// of many small texts does not ask them many times. Not thread-safe.
/// </summary>
internal sealed class TextCheck(DirectionRules rules, PolicyTally tally, Placeholders placeholders) : IDisposable
{
    /// <summary>Characters that a remote rule judges at once.</summary>
    public const int JudgedCharacters = 16_000;

    /// <summary>Characters that two windows have in common.</summary>
    public const int JudgedOverlap = 1_000;

    /// <summary>How often a remote rule is asked about the texts of one call. What is left has no verdict.</summary>
    public const int MaxJudgements = 32;

    /// <summary>How long all remote rules of a call may take together, or the time of one of them if that is longer.</summary>
    public static readonly TimeSpan MaxJudgeTime = TimeSpan.FromSeconds(10);

    // Long texts are read in pieces, so that the buffers stay small.
    private const int PieceLength = 16_384;

    private readonly TextScan _scan = new(rules, tally, placeholders);

    // What the remote rules will judge, by their level. Those that see what all local rules left have one text.
    private readonly Dictionary<int, StringBuilder> _judged = [];

    /// <summary>Whether some rule needs a judge: then <see cref="JudgeAsync"/> must follow the last text.</summary>
    public bool NeedsJudge => rules.NeedsJudge;

    /// <summary>Applies all rules except the remote ones to a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="kind">How it is read.</param>
    /// <param name="isOwn">Whether it is from the gateway's own storage: placeholders of the call in it stay.</param>
    public TextCheckResult Check(string text, ChannelKind kind = ChannelKind.Text, bool isOwn = false)
    {
        _scan.KnowsPlaceholders = isOwn;
        var result = CheckLocally(text, kind);
        if (result.Block is not null) return result;
        string? last = null;
        var isInjection = false;
        foreach (var rule in rules.Judges)
        {
            var judged = ViewOf(rule, text, result.NewText, kind);
            if (rule.Rule.Type == PolicyRuleType.Remote)
            {
                Keep(rule, judged);
                continue;
            }
            if (!ReferenceEquals(judged, last)) isInjection = InjectionHeuristics.IsInjection(JudgedText.Of(last = judged, kind));
            if (isInjection && JudgedText.Apply(rule, JudgeVerdict.Match, PolicyDirection.Input, tally) is { } block)
                return new TextCheckResult(block, null);
        }
        return result;

        void Keep(PolicyRuleReference rule, string judged)
        {
            var key = LevelOf(rule);
            if (!_judged.TryGetValue(key, out var all)) _judged.Add(key, all = new StringBuilder());
            // Several rules may judge the same.
            if (rules.Judges.First(other => other.Rule.Type == PolicyRuleType.Remote && LevelOf(other) == key) != rule) return;
            if (all.Length > 0) all.Append('\n');
            all.Append(JudgedText.Of(judged, kind));
        }
    }

    /// <summary>
    /// Checks texts that a model reads as one and that were checked alone: what reaches over their borders. Adds to the counts what was not
    /// found in them alone.
    /// </summary>
    /// <param name="parts">The texts.</param>
    /// <param name="before">The counts before they were checked alone.</param>
    public (PolicyBlock? Block, PartsSink? Parts) CheckJoined(IReadOnlyList<string> parts, IReadOnlyList<PolicyCount> before)
    {
        var text = string.Concat(parts);
        var joined = new PolicyTally();
        using var scan = new TextScan(rules, joined, placeholders) { KnowsPlaceholders = true };
        var sink = new PartsSink(parts);
        var rule = Run(scan, text, ChannelKind.Text, sink);
        var alone = tally.Counts();
        foreach (var count in joined.Counts())
        {
            var more = count.Rule.Action == PolicyAction.Flag ? count.Count - Alone(count.Rule) : count.Count;
            if (more > 0) tally.Add(count.Rule, PolicyDirection.Input, more);
        }
        if (rule is not null) return (new PolicyBlock(rule), null);
        foreach (var judge in rules.Judges)
        {
            if (judge.Rule.Type == PolicyRuleType.Remote || Alone(judge) > 0 || !InjectionHeuristics.IsInjection(text)) continue;
            if (JudgedText.Apply(judge, JudgeVerdict.Match, PolicyDirection.Input, tally) is { } block) return (block, null);
        }
        return (null, sink.IsChanged ? sink : null);

        int Alone(PolicyRuleReference one) => CountOf(alone, one) - CountOf(before, one);
    }

    /// <summary>
    /// Asks the remote rules about all texts since the last time, in order, within <see cref="MaxJudgements"/> and <see cref="MaxJudgeTime"/>.
    /// Returns why the call must end, if it must.
    /// </summary>
    public async ValueTask<PolicyBlock?> JudgeAsync(IWindowJudge judge, TimeProvider time, CancellationToken cancellationToken)
    {
        if (_judged.Count == 0) return null;
        var limit = rules.Judges.Select(rule => TimeSpan.FromMilliseconds(rule.Rule.TimeoutMs ?? 0)).Append(MaxJudgeTime).Max();
        using var timeout = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        foreach (var rule in rules.Judges)
        {
            if (rule.Rule.Type != PolicyRuleType.Remote || !_judged.TryGetValue(LevelOf(rule), out var all)) continue;
            for (var (start, asked, isLast) = (0, 0, false); !isLast; start += JudgedCharacters - JudgedOverlap, asked++)
            {
                isLast = start + JudgedCharacters >= all.Length;
                var verdict = JudgeVerdict.Unavailable;
                if (asked < MaxJudgements)
                {
                    var window = all.ToString(start, Math.Min(JudgedCharacters, all.Length - start));
                    verdict = await JudgeAsync(rule, window, judge, either.Token, cancellationToken);
                }
                if (JudgedText.Apply(rule, verdict, PolicyDirection.Input, tally) is { } block) return block;
                if (asked == MaxJudgements) break;
            }
        }
        _judged.Clear();
        return null;
    }

    /// <summary>Applies all rules to a text.</summary>
    public async ValueTask<TextCheckResult> CheckAsync(string text, ChannelKind kind, IWindowJudge judge, CancellationToken cancellationToken)
    {
        var result = Check(text, kind);
        if (result.Block is not null) return result;
        return await JudgeAsync(judge, TimeProvider.System, cancellationToken) is { } block ? new TextCheckResult(block, null) : result;
    }

    /// <summary>Returns buffers.</summary>
    public void Dispose() => _scan.Dispose();

    private static async ValueTask<JudgeVerdict> JudgeAsync(
        PolicyRuleReference rule, string window, IWindowJudge judge, CancellationToken limited, CancellationToken cancellationToken)
    {
        if (limited.IsCancellationRequested && !cancellationToken.IsCancellationRequested) return JudgeVerdict.Unavailable;
        try
        {
            return await judge.JudgeAsync(rule, window, limited);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return JudgeVerdict.Unavailable;
        }
    }

    private static int CountOf(IReadOnlyList<PolicyCount> counts, PolicyRuleReference rule)
    {
        foreach (var count in counts)
        {
            if (count.Rule == rule && count.Direction == PolicyDirection.Input) return count.Count;
        }
        return 0;
    }

    private int LevelOf(PolicyRuleReference rule) => rules.EarlyJudges.Contains(rule) ? rule.Level : -1;

    // A smaller owner must not hide text from a judge by redacting it.
    private string ViewOf(PolicyRuleReference rule, string text, string? redacted, ChannelKind kind) =>
        redacted is null ? text : rules.EarlyJudges.Contains(rule) ? rules.ViewOf(rule, text, kind) : redacted;

    private TextCheckResult CheckLocally(string text, ChannelKind kind)
    {
        _scan.Redacted = null;
        var sink = new ChangeSink(text);
        return Run(_scan, text, kind, sink) is { } rule
            ? new TextCheckResult(new PolicyBlock(rule), null)
            : new TextCheckResult(null, sink.Changed, _scan.Redacted);
    }

    private static PolicyRuleReference? Run(TextScan scan, string text, ChannelKind kind, TextSink sink)
    {
        scan.Start(isBare: false);
        var channel = new TextChannel(scan, kind);
        for (var start = 0; start < text.Length; start += PieceLength)
        {
            if (channel.Push(text.AsSpan(start, Math.Min(PieceLength, text.Length - start)), sink) is { } rule) return rule;
        }
        return channel.Complete(sink);
    }
}
