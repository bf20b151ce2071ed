using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>What the calls of keys and projects may do with the cache of responses; null for nothing of their own.</summary>
internal sealed class CacheModeSchema : ISchemaStep
{
    public int Version => 7;

    public string Name => "cache by key and project";

    public string Sql(SqlFlavour sql) => $"""
        ALTER TABLE projects ADD COLUMN cache {sql.Text} NULL;
        ALTER TABLE api_keys ADD COLUMN cache {sql.Text} NULL;
        """;
}
