using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>
/// The roles of keys. Keys that had scopes of administration get the role that allows the same; a key that could only change things can now
/// read them too.
/// </summary>
internal sealed class KeyRoleSchema : ISchemaStep
{
    public int Version => 9;

    public string Name => "roles of keys";

    // Lists of scopes are JSON arrays of strings without characters that JSON escapes.
    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE api_keys ADD COLUMN role {sql.Text} NULL;
        ALTER TABLE api_keys ADD COLUMN role_organization_id {sql.Text} NULL;
        UPDATE api_keys SET role = CASE
                WHEN scopes LIKE '%"admin:*"%' OR scopes LIKE '%"*"%' THEN 'owner'
                WHEN scopes LIKE '%"admin:write"%' THEN 'operator'
                ELSE 'auditor'
            END
        WHERE scopes LIKE '%"admin:*"%' OR scopes LIKE '%"*"%' OR scopes LIKE '%"admin:write"%' OR scopes LIKE '%"admin:read"%';
        """;
}
