using Fairlead.Dialects;

namespace Fairlead.Policies.Checking;

/// <summary>Writes what the rules met in a call: rules and numbers, no text.</summary>
internal static class PolicyVerdicts
{
    /// <summary>An array; null if no policy applies to the call.</summary>
    public static void Append(ref JsonAppender json, CallPolicy? policy)
    {
        if (policy is null)
        {
            json.Raw("null"u8);
            return;
        }
        json.Raw("["u8);
        var counts = policy.Tally.Counts();
        for (var i = 0; i < counts.Count; i++)
        {
            var (rule, direction, count) = counts[i];
            json.Raw(i == 0 ? "{\"policy\":"u8 : ",{\"policy\":"u8);
            json.String(rule.PolicyId);
            json.Raw(",\"version\":"u8);
            json.Number((long)rule.Version);
            json.Raw(",\"rule\":"u8);
            json.String(rule.RuleId);
            json.Raw(",\"action\":"u8);
            json.String(PolicyWords.Of(rule.Action));
            json.Raw(",\"direction\":"u8);
            json.String(PolicyWords.Of(direction));
            json.Raw(",\"count\":"u8);
            json.Number((long)count);
            json.Raw("}"u8);
        }
        json.Raw("]"u8);
    }
}
