using System.Globalization;
using Fairlead.Policies.Matching;
using Fairlead.Security;

namespace Fairlead.Policies;

/// <summary>Finds what is wrong with the judges of remote rules.</summary>
internal static class RemoteRuleCheck
{
    /// <summary>The problems of the rules of a policy, with fields such as <c>rules[2].url</c>.</summary>
    /// <param name="rules">The rules.</param>
    /// <param name="addresses">Which endpoints are allowed.</param>
    /// <param name="allowHttp">Whether an endpoint may be called without TLS.</param>
    public static IEnumerable<RuleProblem> CheckAll(IReadOnlyList<PolicyRule> rules, AddressRules addresses, bool allowHttp)
    {
        for (var i = 0; i < rules.Count; i++)
        {
            var at = string.Create(CultureInfo.InvariantCulture, $"rules[{i}].");
            var rule = rules[i];
            if (rule.Type != PolicyRuleType.Remote) continue;
            if (rule.Url is null == rule.Model is null)
            {
                yield return new(at + "url", "A remote rule has either 'url' or 'model'", "Send one of them.");
            }
            if (rule.Url is { } url && OutboundUrl.Read(url, addresses, allowHttp).Fault is { } fault)
            {
                yield return new(at + "url", fault.TrimEnd('.').Replace("webhooks.", "contentPolicy.", StringComparison.Ordinal),
                    "Send the address of a moderation endpoint that this server may call.");
            }
            if (rule.Model is { Length: 0 or > 256 })
                yield return new(at + "model", "The name has 1 to 256 characters", "Send the name of a model.");
        }
    }
}
