using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Checking;

/// <summary>The error of a request that a rule blocks. It names the rule, and never what it matched.</summary>
internal static class ContentBlocked
{
    public static GatewayError Of(PolicyBlock block)
    {
        var rule = block.Rule;
        var details = new JsonObject
        {
            ["policy"] = rule.PolicyId,
            ["policy_name"] = rule.PolicyName,
            ["version"] = rule.Version,
            ["rule"] = rule.RuleId,
            ["direction"] = "input",
            ["reason"] = block.IsUnavailable ? "unavailable" : "match",
        };
        if (!block.IsUnavailable)
        {
            return new GatewayError(
                ErrorCode.ContentBlocked, $"The rule '{rule.RuleId}' of the content policy '{rule.PolicyName}' blocks the request.")
            {
                Details = details,
            };
        }
        return new GatewayError(
            ErrorCode.ContentBlocked,
            $"The rule '{rule.RuleId}' of the content policy '{rule.PolicyName}' gave no verdict, and blocks what it cannot check.")
        {
            Details = details,
            Retryable = true,
            Remedy = "Repeat the request in a moment; if that keeps failing, ask an administrator about the policy.",
        };
    }
}
