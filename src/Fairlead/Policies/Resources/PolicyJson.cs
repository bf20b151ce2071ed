using System.Text.Json;
using Fairlead.Http;
using Fairlead.Policies.Matching;

namespace Fairlead.Policies.Resources;

/// <summary>Writes policies and their versions as the admin API shows them.</summary>
internal static class PolicyJson
{
    /// <summary>Writes a stored policy.</summary>
    public static void Write(Utf8JsonWriter json, PolicyRow row)
    {
        Start(json, row.Id, row.Name, row.Owner, row.ManagedBy, row.Version);
        json.WritePropertyName("rules");
        json.WriteRawValue(row.Content, skipInputValidation: true);
        json.WriteString("source", "database");
        json.WriteTime("created_at", row.CreatedAt);
        json.WriteTime("updated_at", row.UpdatedAt);
        json.WriteEndObject();
    }

    /// <summary>Writes a policy of the configuration.</summary>
    public static void Write(Utf8JsonWriter json, OwnedPolicy policy)
    {
        var definition = policy.Definition;
        Start(json, definition.Id, definition.Name, policy.Owner, PolicyManager.Installation, definition.Version);
        json.WritePropertyName("rules");
        PolicyContent.Write(json, definition.Rules);
        json.WriteString("source", "configuration");
        json.WriteTime("created_at", null);
        json.WriteTime("updated_at", null);
        json.WriteEndObject();
    }

    /// <summary>Writes a version.</summary>
    public static void Write(Utf8JsonWriter json, PolicyVersionRow row)
    {
        json.WriteStartObject();
        json.WriteString("object", "policy_version");
        json.WriteString("policy_id", row.PolicyId);
        json.WriteNumber("version", row.Version);
        json.WriteString("name", row.Name);
        json.WriteString("managed_by", row.ManagedBy);
        json.WritePropertyName("rules");
        json.WriteRawValue(row.Content, skipInputValidation: true);
        json.WriteStartObject("changed_by");
        json.WriteString("key_id", row.ChangedBy);
        json.WriteString("key_name", row.ChangedByName);
        json.WriteEndObject();
        json.WriteTime("changed_at", row.ChangedAt);
        json.WriteEndObject();
    }

    /// <summary>Writes what rules met: an array of verdicts.</summary>
    public static void WriteVerdicts(Utf8JsonWriter json, PolicyTally tally)
    {
        json.WriteStartArray();
        foreach (var count in tally.Counts())
        {
            json.WriteStartObject();
            json.WriteString("policy", count.Rule.PolicyId);
            json.WriteNumber("version", count.Rule.Version);
            json.WriteString("rule", count.Rule.RuleId);
            json.WriteString("action", PolicyWords.Of(count.Rule.Action));
            json.WriteString("direction", PolicyWords.Of(count.Direction));
            json.WriteNumber("count", count.Count);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void Start(Utf8JsonWriter json, string id, string name, PolicyOwner owner, string managedBy, long version)
    {
        json.WriteStartObject();
        json.WriteString("id", id);
        json.WriteString("object", "policy");
        json.WriteString("name", name);
        if (owner.OrganizationId is not null) json.WriteString("organization_id", owner.OrganizationId);
        if (owner.ProjectId is not null) json.WriteString("project_id", owner.ProjectId);
        if (owner.KeyId is not null) json.WriteString("key_id", owner.KeyId);
        json.WriteString("managed_by", managedBy);
        json.WriteNumber("version", version);
    }
}
