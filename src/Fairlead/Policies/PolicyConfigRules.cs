using Fairlead.Configuration;
using Fairlead.Policies.Matching;
using Fairlead.Security;

namespace Fairlead.Policies;

/// <summary>Each policy has at most one owner and rules without problems.</summary>
internal sealed class PolicyConfigRules : ConfigRules
{
    public override IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration)
    {
        var config = configuration.ContentPolicy;
        var addresses = new AddressRules(config.AllowedNetworks);
        foreach (var (name, policy) in config.Policies)
        {
            var path = $"fairlead.contentPolicy.policies.{name}";
            if (policy.Owner.Count > 1)
            {
                yield return new(
                    path, null, "The policy names more than one owner.",
                    "Keep one of organizationId, projectId and keyId, or none for all calls.");
            }
            var problems = PolicyRuleCheck.CheckAll(policy.Rules)
                .Concat(RemoteRuleCheck.CheckAll(policy.Rules, addresses, config.AllowHttp));
            foreach (var problem in problems)
            {
                yield return new($"{path}.{KeyOf(problem.Field)}", null, problem.Reason + ".", problem.Remedy);
            }
        }
    }

    // The wire has max_match_length, the file maxMatchLength.
    private static string KeyOf(string field)
    {
        if (field.Length == 0) return "rules";
        var words = field.Split('_');
        return string.Concat(words.Select((word, index) => index == 0 ? word : char.ToUpperInvariant(word[0]) + word[1..]));
    }
}
