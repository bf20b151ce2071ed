using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>
/// The times of deleted organizations that had some of their own: their audit records outlive them, by these times.
/// </summary>
internal sealed class DeletedOrganizationSchema : ISchemaStep
{
    public int Version => 14;

    public string Name => "retention of audit records of deleted organizations";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE deleted_organizations (
            id {sql.Text} NOT NULL PRIMARY KEY,
            audit_retention_days BIGINT NULL,
            audit_content_retention_days BIGINT NULL,
            deleted_at BIGINT NOT NULL
        ){sql.Keyed};
        """;
}
