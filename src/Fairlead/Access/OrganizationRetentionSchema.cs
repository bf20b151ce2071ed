using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>How long the audit records of an organization, and their content, are stored; null for the time of the configuration.</summary>
internal sealed class OrganizationRetentionSchema : ISchemaStep
{
    public int Version => 13;

    public string Name => "retention of audit records by organization";

    public string Sql(SqlFlavour sql) => """
        ALTER TABLE organizations ADD COLUMN audit_retention_days BIGINT NULL;
        ALTER TABLE organizations ADD COLUMN audit_content_retention_days BIGINT NULL;
        """;
}
