using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Policies.Matching;
using Fairlead.Security;

namespace Fairlead.Policies.Resources;

/// <summary>Reads the fields of a policy from the body of an admin request.</summary>
internal static class PolicyFields
{
    private const string Rules = "rules";

    private const string Manager = "managed_by";

    private const string Stays = "A policy stays with its owner; create a new policy for the other one.";

    /// <summary>Fields of the body that creates one.</summary>
    public static readonly FieldSet New = new(["name", "organization_id", "project_id", "key_id", Manager, Rules]);

    /// <summary>Fields of the body that changes one.</summary>
    public static readonly FieldSet Change = new(["name", Manager, Rules], new Dictionary<string, string>
    {
        ["organization_id"] = Stays,
        ["project_id"] = Stays,
        ["key_id"] = Stays,
        ["version"] = "Each change makes the next version.",
    });

    /// <summary>The owner, which must be exactly one.</summary>
    public static PolicyOwner ReadOwner(BodyFields fields)
    {
        string[] names = ["organization_id", "project_id", "key_id"];
        var owner = new PolicyOwner(
            fields.Text(names[0], FieldLengths.Id), fields.Text(names[1], FieldLengths.Id), fields.Text(names[2], FieldLengths.Id));
        var given = names.Count(fields.HasValue);
        if (given == 0)
        {
            fields.Add(ErrorCode.MissingParameter, new FieldError(
                "/organization_id", "A policy has an owner: send one of organization_id, project_id and key_id."));
        }
        else if (given > 1)
        {
            fields.Invalid("organization_id", "A policy has one owner: send only one of organization_id, project_id and key_id.");
        }
        return owner;
    }

    /// <summary>Who may change it; null if the body does not say.</summary>
    public static string? ReadManager(BodyFields fields) => fields.HasValue(Manager) ? fields.OneOf(Manager, PolicyManager.Names) : null;

    /// <summary>The rules; null if the body has none. Everything that is wrong with them is among the errors.</summary>
    public static IReadOnlyList<PolicyRule>? ReadRules(BodyFields fields, bool isRequired, AddressRules addresses, bool allowHttp)
    {
        if (fields.Element(Rules) is not { } value)
        {
            if (isRequired) fields.Missing(Rules);
            return null;
        }
        var isWrong = false;
        var rules = PolicyContent.Read(value, "/" + Rules, (code, error) =>
        {
            isWrong = true;
            fields.Add(code, error);
        });
        // The positions of rules agree with the body only if all could be read.
        if (isWrong) return rules;
        foreach (var problem in PolicyRuleCheck.CheckAll(rules).Concat(RemoteRuleCheck.CheckAll(rules, addresses, allowHttp)))
        {
            fields.Add(ErrorCode.InvalidParameter, new FieldError(PointerOf(problem.Field), $"{problem.Reason}. {problem.Remedy}"));
        }
        return rules;
    }

    // rules[2].words[3] is /rules/2/words/3.
    private static string PointerOf(string field) => field.Length == 0
        ? "/" + Rules
        : "/" + field.Replace("]", "", StringComparison.Ordinal).Replace('[', '/').Replace('.', '/');
}
