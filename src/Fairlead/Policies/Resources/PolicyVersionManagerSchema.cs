using Fairlead.Storage;

namespace Fairlead.Policies.Resources;

/// <summary>Who could change a policy in each of its versions. Those from before have the manager of the current version.</summary>
internal sealed class PolicyVersionManagerSchema : ISchemaStep
{
    public int Version => 862;

    public string Name => "managers of versions of content policies";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE content_policy_versions ADD COLUMN managed_by {sql.Text} NOT NULL DEFAULT '{PolicyManager.Installation}';
        UPDATE content_policy_versions SET managed_by =
            (SELECT p.managed_by FROM content_policies p WHERE p.id = content_policy_versions.policy_id);
        """;
}
