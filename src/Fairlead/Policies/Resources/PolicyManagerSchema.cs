using Fairlead.Storage;

namespace Fairlead.Policies.Resources;

/// <summary>Who may change a policy. Those from before were made by administrators of the installation.</summary>
internal sealed class PolicyManagerSchema : ISchemaStep
{
    public int Version => 861;

    public string Name => "managers of content policies";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE content_policies ADD COLUMN managed_by {sql.Text} NOT NULL DEFAULT '{PolicyManager.Installation}';
        """;
}
