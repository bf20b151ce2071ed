using Fairlead.Policies.Matching;
using Microsoft.Extensions.Logging;

namespace Fairlead.Policies.Remote;

/// <summary>
/// Judges texts for remote rules: 1. by what is known of the text, 2. by the endpoint or the model of the rule, within its time.
/// Thread-safe.
/// </summary>
internal sealed class RemoteJudge(
    VerdictCache known, EndpointJudge endpoints, ModelJudge models, TimeProvider time, ILogger<RemoteJudge> logger) : IWindowJudge
{
    /// <summary>Time of a judge whose rule names none.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(2);

    public async ValueTask<JudgeVerdict> JudgeAsync(PolicyRuleReference rule, string text, CancellationToken cancellationToken)
    {
        if (string.IsNullOrWhiteSpace(text)) return JudgeVerdict.Clear;
        // 1.
        var key = VerdictCache.KeyOf(rule.Rule, text);
        if (known.Find(key) is { } verdict) return verdict;

        // 2.
        var limit = rule.Rule.TimeoutMs is { } milliseconds ? TimeSpan.FromMilliseconds(milliseconds) : DefaultTimeout;
        using var timeout = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        string? problem;
        try
        {
            (verdict, problem) = rule.Rule.Url is { } url
                ? await endpoints.JudgeAsync(url, text, either.Token)
                : await models.JudgeAsync(rule.Rule.Model!, text, either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            (verdict, problem) = (JudgeVerdict.Unavailable, "timeout");
        }
        if (problem is not null) PolicyLog.JudgeFailed(logger, rule.RuleId, rule.PolicyId, problem);
        known.Keep(key, verdict);
        return verdict;
    }
}
