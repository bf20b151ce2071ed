using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>How much content the audit records of an organization, a project and a key have; null for what is set above.</summary>
internal sealed class AuditContentSchema : ISchemaStep
{
    public int Version => 10;

    public string Name => "content of audit records by organization, project and key";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE organizations ADD COLUMN audit_content {sql.Text} NULL;
        ALTER TABLE projects ADD COLUMN audit_content {sql.Text} NULL;
        ALTER TABLE api_keys ADD COLUMN audit_content {sql.Text} NULL;
        """;
}
