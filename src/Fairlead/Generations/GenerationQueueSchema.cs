using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>
/// Counts the queue of a project without reading the requests. Requests from before this step count as jobs, but their bytes do not count.
/// </summary>
internal sealed class GenerationQueueSchema : ISchemaStep
{
    public int Version => 602;

    public string Name => "limits of the queue";

    public string Sql(SqlFlavour sql) => """
        ALTER TABLE generations ADD COLUMN request_bytes BIGINT NOT NULL DEFAULT 0;
        CREATE INDEX generations_queued_by_project ON generations (project_id, request_bytes) WHERE status = 'queued' AND batch_id IS NULL;
        """;
}
