namespace Fairlead.Policies.Matching;

/// <summary>The verdict of a judge on a text or a window.</summary>
internal enum JudgeVerdict
{
    /// <summary>The rule does not match.</summary>
    Clear,

    /// <summary>The rule matches.</summary>
    Match,

    /// <summary>No verdict: the judge failed or took too long. <see cref="PolicyRule.OnFailure"/> decides.</summary>
    Unavailable,
}

/// <summary>Judges texts for remote rules. It applies the rule's timeout and caches verdicts. Thread-safe.</summary>
internal interface IWindowJudge
{
    /// <summary>Judges one text.</summary>
    /// <param name="rule">A rule of the type <see cref="PolicyRuleType.Remote"/>.</param>
    /// <param name="text">An input text, or a window of output, after the redaction by local rules.</param>
    /// <param name="cancellationToken">Ends the call.</param>
    ValueTask<JudgeVerdict> JudgeAsync(PolicyRuleReference rule, string text, CancellationToken cancellationToken);
}
