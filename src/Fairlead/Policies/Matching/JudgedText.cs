using System.Text;

namespace Fairlead.Policies.Matching;

/// <summary>Asks the rules that judge a text as a whole.</summary>
internal static class JudgedText
{
    /// <summary>The text that is judged: in JSON, without the escapes of letters and line breaks.</summary>
    public static string Of(ReadOnlySpan<char> text, ChannelKind kind)
    {
        if (kind == ChannelKind.Text || !text.Contains('\\')) return new string(text);
        var plain = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\' || i + 1 == text.Length)
            {
                plain.Append(text[i]);
                continue;
            }
            var c = text[++i];
            if (c == 'u' && i + 4 < text.Length && ushort.TryParse(text.Slice(i + 1, 4), System.Globalization.NumberStyles.AllowHexSpecifier, null, out var code))
            {
                plain.Append((char)code);
                i += 4;
                continue;
            }
            plain.Append(c switch { 'n' => '\n', 'r' => '\r', 't' => '\t', _ => c });
        }
        return plain.ToString();
    }

    /// <summary>As the other one.</summary>
    public static string Of(string text, ChannelKind kind) => kind == ChannelKind.Text ? text : Of(text.AsSpan(), kind);

    /// <summary>Judges a text by one rule: heuristics here, remote rules by their judge.</summary>
    public static ValueTask<JudgeVerdict> JudgeAsync(PolicyRuleReference rule, string text, IWindowJudge? judge, CancellationToken cancellationToken)
    {
        if (rule.Rule.Type == PolicyRuleType.PromptInjection)
            return new(InjectionHeuristics.IsInjection(text) ? JudgeVerdict.Match : JudgeVerdict.Clear);
        return judge?.JudgeAsync(rule, text, cancellationToken) ?? throw new InvalidOperationException("A remote rule needs a judge.");
    }

    /// <summary>Counts a verdict. Returns why the call must end, if it must.</summary>
    public static PolicyBlock? Apply(PolicyRuleReference rule, JudgeVerdict verdict, PolicyDirection direction, PolicyTally tally)
    {
        if (verdict == JudgeVerdict.Unavailable) return rule.Rule.OnFailure == PolicyFailure.Closed ? new PolicyBlock(rule, IsUnavailable: true) : null;
        if (verdict == JudgeVerdict.Clear) return null;
        tally.Add(rule, direction);
        return rule.Action == PolicyAction.Block ? new PolicyBlock(rule) : null;
    }
}
