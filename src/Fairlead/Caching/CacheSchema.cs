using Fairlead.Storage;

namespace Fairlead.Caching;

/// <summary>How often the kept responses of a project, a model, both or all were deleted; the empty text stands for all.</summary>
internal sealed class CacheSchema : ISchemaStep
{
    public int Version => 800;

    public string Name => "deletions of the cache";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE cache_deletions (
            project_id {sql.Text} NOT NULL,
            model {sql.Text} NOT NULL,
            count BIGINT NOT NULL,
            PRIMARY KEY (project_id, model)
        ){sql.Keyed};
        """;
}
