using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>Whether the calls of an organization share work with those of others that do so too.</summary>
internal sealed class OrganizationSharingSchema : ISchemaStep
{
    public int Version => 5;

    public string Name => "sharing across organizations";

    public string Sql(SqlFlavour sql) => """
        ALTER TABLE organizations ADD COLUMN share_across_organizations BIGINT NOT NULL DEFAULT 0;
        """;
}
