using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>Counts what a project has in the queue without a look at the requests themselves. Those from before this step count as jobs, not by their bytes.</summary>
internal sealed class GenerationQueueSchema : ISchemaStep
{
    public int Version => 602;

    public string Name => "limits of the queue";

    public string Sql(SqlFlavour sql) => """
        ALTER TABLE generations ADD COLUMN request_bytes BIGINT NOT NULL DEFAULT 0;
        CREATE INDEX generations_queued_by_project ON generations (project_id, request_bytes) WHERE status = 'queued' AND batch_id IS NULL;
        """;
}
