using System.Diagnostics.Metrics;
using Fairlead.Policies.Checking;
using Fairlead.Telemetry;

namespace Fairlead.Policies;

/// <summary>What the rules of content policies meet. Thread-safe.</summary>
internal sealed class PolicyMetrics : IDisposable
{
    private readonly Meter _meter;
    private readonly Counter<long> _verdicts;

    public PolicyMetrics(IMeterFactory meters)
    {
        _meter = meters.Create(GatewayTelemetry.Name);
        _verdicts = _meter.CreateCounter<long>(
            "fairlead.policy.verdicts", "{verdict}", "Matches of rules of content policies, by action, direction and type.");
    }

    /// <summary>A call has ended.</summary>
    public void Ended(CallPolicy policy)
    {
        if (policy.IsMeasured || !_verdicts.Enabled) return;
        policy.IsMeasured = true;
        foreach (var (rule, direction, count) in policy.Tally.Counts())
        {
            _verdicts.Add(
                count, new("action", PolicyWords.Of(rule.Action)), new("direction", PolicyWords.Of(direction)),
                new("type", PolicyWords.Of(rule.Rule.Type)));
        }
    }

    public void Dispose() => _meter.Dispose();
}
