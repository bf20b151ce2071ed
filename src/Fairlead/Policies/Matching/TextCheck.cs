namespace Fairlead.Policies.Matching;

/// <summary>What a check of an input text resulted in.</summary>
/// <param name="Block">Set if the call must end.</param>
/// <param name="NewText">The text with placeholders; null if it is unchanged or blocked.</param>
internal readonly record struct TextCheckResult(PolicyBlock? Block, string? NewText)
{
    public bool IsUnchanged => Block is null && NewText is null;
}

/// <summary>Checks the input texts of one call, one after the other. Not thread-safe.</summary>
internal sealed class TextCheck(DirectionRules rules, PolicyTally tally, Placeholders placeholders) : IDisposable
{
    // Long texts are read in pieces, so that the buffers stay small.
    private const int PieceLength = 16_384;

    private readonly TextScan _scan = new(rules, tally, placeholders);

    /// <summary>Whether some rule needs a judge: then <see cref="CheckAsync"/> must be used.</summary>
    public bool NeedsJudge => rules.NeedsJudge;

    /// <summary>Applies the local rules (all types except remote) to a text.</summary>
    public TextCheckResult Check(string text, ChannelKind kind = ChannelKind.Text)
    {
        var result = CheckLocally(text, kind);
        if (result.Block is not null || rules.Judges.Count == 0) return result;
        var judged = JudgedText.Of(result.NewText ?? text, kind);
        bool? isInjection = null;
        foreach (var rule in rules.Judges)
        {
            if (rule.Rule.Type == PolicyRuleType.Remote || !(isInjection ??= InjectionHeuristics.IsInjection(judged))) continue;
            if (JudgedText.Apply(rule, JudgeVerdict.Match, PolicyDirection.Input, tally) is { } block) return new TextCheckResult(block, null);
        }
        return result;
    }

    /// <summary>Applies the local rules, then asks the judge about the text that they left, for each remote rule in order.</summary>
    public async ValueTask<TextCheckResult> CheckAsync(string text, ChannelKind kind, IWindowJudge judge, CancellationToken cancellationToken)
    {
        var result = CheckLocally(text, kind);
        if (result.Block is not null || rules.Judges.Count == 0) return result;
        var judged = JudgedText.Of(result.NewText ?? text, kind);
        foreach (var rule in rules.Judges)
        {
            var verdict = await JudgedText.JudgeAsync(rule, judged, judge, cancellationToken);
            if (JudgedText.Apply(rule, verdict, PolicyDirection.Input, tally) is { } block) return new TextCheckResult(block, null);
        }
        return result;
    }

    /// <summary>Returns buffers.</summary>
    public void Dispose() => _scan.Dispose();

    private TextCheckResult CheckLocally(string text, ChannelKind kind)
    {
        _scan.Start(isBare: false);
        var sink = new ChangeSink(text);
        var channel = new TextChannel(_scan, kind);
        PolicyRuleReference? rule = null;
        for (var start = 0; start < text.Length && rule is null; start += PieceLength)
            rule = channel.Push(text.AsSpan(start, Math.Min(PieceLength, text.Length - start)), sink);
        rule ??= channel.Complete(sink);
        return rule is null ? new TextCheckResult(null, sink.Changed) : new TextCheckResult(new PolicyBlock(rule), null);
    }
}
