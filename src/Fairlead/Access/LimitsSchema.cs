using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>
/// Limits as the JSON object of the admin API, null for none; and the weights of organizations in millionths, so that both databases store
/// them exactly.
/// </summary>
internal sealed class LimitsSchema : ISchemaStep
{
    public int Version => 3;

    public string Name => "limits and weights";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE organizations ADD COLUMN weight_millionths BIGINT NOT NULL DEFAULT 1000000;
        ALTER TABLE organizations ADD COLUMN limits {sql.Text} NULL;
        ALTER TABLE projects ADD COLUMN limits {sql.Text} NULL;
        ALTER TABLE api_keys ADD COLUMN limits {sql.Text} NULL;
        """;
}
